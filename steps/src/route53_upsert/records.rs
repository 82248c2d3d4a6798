//! A record set as data: read from Route 53, kept in the journal, compared,
//! and written back exactly.

use aws_sdk_route53::types::{
    AliasTarget, CidrRoutingConfig, GeoLocation, ResourceRecord, ResourceRecordSet, ResourceRecordSetFailover,
    ResourceRecordSetRegion, RrType,
};
use dr_engine::outcome::Failure;
use serde::{Deserialize, Serialize};

/// A record set, whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct RecordSet {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ttl: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) values: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) alias: Option<AliasTo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) set: Option<String>,
    #[serde(default, skip_serializing_if = "Routing::is_simple")]
    pub(super) routing: Routing,
}

/// What an alias points to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct AliasTo {
    pub(super) zone: String,
    pub(super) target: String,
    pub(super) evaluate_health: bool,
}

/// How a member of a routing set is chosen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Routing {
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failover: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    multi_value: Option<bool>,
    /// Continent, country, subdivision.
    #[serde(skip_serializing_if = "Option::is_none")]
    geo: Option<[Option<String>; 3]>,
    /// Collection and location.
    #[serde(skip_serializing_if = "Option::is_none")]
    cidr: Option<[String; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    health_check: Option<String>,
}

impl Routing {
    fn is_simple(&self) -> bool {
        *self == Self::default()
    }
}

impl RecordSet {
    /// The record set as Route 53 gave it, or why it is left alone.
    pub(super) fn read(from: &ResourceRecordSet) -> Result<Self, Failure> {
        let (name, kind) = (normal(from.name()), from.r#type().as_str().to_owned());
        if from.traffic_policy_instance_id().is_some() || from.geo_proximity_location().is_some() {
            return Err(Failure::new(format!(
                "{name} {kind} belongs to a traffic policy or is routed by geoproximity; dr does not touch such records"
            )));
        }
        Ok(Self {
            name,
            kind,
            ttl: from.ttl(),
            values: from.resource_records().iter().map(|r| r.value().to_owned()).collect(),
            alias: from.alias_target().map(|alias| AliasTo {
                zone: alias.hosted_zone_id().to_owned(),
                target: normal(alias.dns_name()),
                evaluate_health: alias.evaluate_target_health(),
            }),
            set: from.set_identifier().map(Into::into),
            routing: Routing {
                weight: from.weight(),
                region: from.region().map(|r| r.as_str().to_owned()),
                failover: from.failover().map(|f| f.as_str().to_owned()),
                multi_value: from.multi_value_answer(),
                geo: from.geo_location().map(|g| {
                    [g.continent_code(), g.country_code(), g.subdivision_code()].map(|code| code.map(Into::into))
                }),
                cidr: from.cidr_routing_config().map(|c| [c.collection_id(), c.location_name()].map(ToOwned::to_owned)),
                health_check: from.health_check_id().map(Into::into),
            },
        })
    }

    /// The record set as Route 53 takes it.
    pub(super) fn write(&self) -> Result<ResourceRecordSet, Failure> {
        let wrong = |e: aws_sdk_route53::error::BuildError| Failure::new(format!("{}: {e}", self.title()));
        let value = |v: &String| ResourceRecord::builder().value(v).build().map_err(wrong);
        let values: Result<Vec<_>, Failure> = self.values.iter().map(value).collect();
        let alias = self.alias.as_ref().map(|alias| {
            AliasTarget::builder()
                .hosted_zone_id(&alias.zone)
                .dns_name(&alias.target)
                .evaluate_target_health(alias.evaluate_health)
                .build()
        });
        let routing = &self.routing;
        let geo = routing.geo.clone().map(|[continent, country, subdivision]| {
            GeoLocation::builder()
                .set_continent_code(continent)
                .set_country_code(country)
                .set_subdivision_code(subdivision)
                .build()
        });
        let cidr = routing.cidr.clone().map(|[collection, location]| {
            CidrRoutingConfig::builder().collection_id(collection).location_name(location).build()
        });
        ResourceRecordSet::builder()
            .name(&self.name)
            .r#type(RrType::from(self.kind.as_str()))
            .set_ttl(self.ttl)
            .set_resource_records(Some(values?).filter(|values| !values.is_empty()))
            .set_alias_target(alias.transpose().map_err(wrong)?)
            .set_set_identifier(self.set.clone())
            .set_weight(routing.weight)
            .set_region(routing.region.as_deref().map(ResourceRecordSetRegion::from))
            .set_failover(routing.failover.as_deref().map(ResourceRecordSetFailover::from))
            .set_multi_value_answer(routing.multi_value)
            .set_geo_location(geo)
            .set_cidr_routing_config(cidr.transpose().map_err(wrong)?)
            .set_health_check_id(routing.health_check.clone())
            .build()
            .map_err(wrong)
    }

    /// Whether both are the same record set, whatever it says.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.name == other.name && self.kind == other.kind && self.set == other.set
    }

    /// Whether both say the same: the order of values means nothing.
    pub(super) fn same(&self, other: &Self) -> bool {
        let sorted = |r: &Self| {
            let mut values = r.values.clone();
            values.sort_unstable();
            Self { values, ..r.clone() }
        };
        sorted(self) == sorted(other)
    }

    /// Its name and type.
    pub(super) fn title(&self) -> String {
        let set = self.set.as_ref().map_or(String::new(), |set| format!(" ({set})"));
        format!("{} {}{set}", self.name, self.kind)
    }

    /// Its name, type and what it says.
    pub(super) fn title_and_values(&self) -> String {
        let says =
            self.alias.as_ref().map_or_else(|| self.values.join(", "), |alias| format!("alias {}", alias.target));
        format!("{} {says}", self.title())
    }
}

/// A name as Route 53 writes it: lower case, a dot at the end, and everything
/// but letters, digits, `-`, `_` and `.` as `\` and three octal digits.
pub(super) fn normal(name: &str) -> String {
    use std::fmt::Write;
    let mut normal = String::with_capacity(name.len() + 1);
    let bytes = name.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let code = (bytes[at] == b'\\')
            .then(|| bytes.get(at + 1..at + 4))
            .flatten()
            .filter(|digits| digits.iter().all(|d| (b'0'..=b'7').contains(d)) && digits[0] <= b'3')
            .map(|digits| digits.iter().fold(0u8, |sum, d| sum.wrapping_mul(8) + (d - b'0')));
        let (byte, escaped) = code.map_or((bytes[at], false), |code| (code, true));
        at += if escaped { 4 } else { 1 };
        let byte = byte.to_ascii_lowercase();
        // A dot that was escaped is part of a label and separates nothing.
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' || (byte == b'.' && !escaped) {
            normal.push(char::from(byte));
        } else {
            write!(normal, "\\{byte:03o}").expect("writing to a String");
        }
    }
    if !normal.ends_with('.') {
        normal.push('.');
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::normal;

    #[test]
    fn a_name_has_one_form() {
        for (given, is) in [
            ("app.example.com", "app.example.com."),
            ("APP.Example.com.", "app.example.com."),
            ("*.dev.example.com", "\\052.dev.example.com."),
            ("\\052.dev.example.com.", "\\052.dev.example.com."),
            ("_dmarc.example.com", "_dmarc.example.com."),
            ("a\\056b.example.com", "a\\056b.example.com."),
            ("a\\141.example.com", "aa.example.com."),
            ("a@b.example.com", "a\\100b.example.com."),
        ] {
            assert_eq!(normal(given), is, "{given}");
            assert_eq!(normal(is), is);
        }
    }
}
