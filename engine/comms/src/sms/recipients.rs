//! Who gets an SMS.

use dr_engine::{phone::Number, plan::Plan, report::clean};

/// The numbers of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recipients {
    numbers: Vec<Number>,
    wrong: Vec<String>,
}

impl Recipients {
    /// Those that the runbook names under `comms.sms`, and the telephones of everybody in `roles`: whoever has handed
    /// a role over may still be the only one awake. Nobody, where the runbook does not speak of SMS.
    pub fn of(plan: &Plan) -> Self {
        let Some(sms) = plan.comms.as_ref().and_then(|comms| comms.sms.as_ref()) else { return Self::default() };
        let mut found = Self::default();
        for text in &sms.to {
            found.take(text, |no| no);
        }
        for role in plan.roles.values() {
            let Some(phone) = &role.phone else { continue };
            // An extension, or a number that is called from the same country: good for people, none for an SMS.
            found.take(phone, |no| format!("no SMS to {}: {no}", clean(&role.name)));
        }
        found
    }

    fn take(&mut self, text: &str, wrong: impl FnOnce(String) -> String) {
        match text.parse::<Number>() {
            Ok(number) if self.numbers.contains(&number) => {}
            Ok(number) => self.numbers.push(number),
            Err(no) => self.wrong.push(wrong(format!("{no} ({})", no.hint))),
        }
    }

    /// Each once.
    pub fn numbers(&self) -> &[Number] {
        &self.numbers
    }

    /// What is no number that an SMS can be sent to, for people.
    pub fn wrong(&self) -> &[String] {
        &self.wrong
    }
}
