//! A terminal of its own for `dr`, kept by python3, with somebody who types.

use super::{Living, Place};
use std::process::Command;

/// Types each line once its prompt was seen; prints all that was shown.
const TYPIST: &str = r"
import os, pty, sys, select, struct, fcntl, termios
columns, said, dr = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
lines = [line.split('|', 1) for line in said.split('\n') if line]
pid, terminal = pty.fork()
if pid == 0:
    os.execv(dr[0], dr)
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack('HHHH', 40, columns, 0, 0))
shown = b''
fresh = b''
while True:
    try:
        read = os.read(terminal, 65536)
    except OSError:
        break
    if not read:
        break
    shown += read
    fresh += read
    if lines and lines[0][0].encode() in fresh:
        fresh = b''
        os.write(terminal, lines.pop(0)[1].encode() + b'\n')
sys.stdout.buffer.write(shown)
sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
";

/// Whether a terminal can be had here.
pub(crate) fn at_hand() -> bool {
    Command::new("python3").args(["-c", "import pty"]).output().is_ok_and(|done| done.status.success())
}

impl Place {
    /// `dr` on a terminal; `typed` pairs what a prompt shows with what is typed then.
    pub(crate) fn terminal(&self, columns: u32, typed: &[(&str, &str)], args: &[&str]) -> Command {
        let typed: Vec<_> = typed.iter().map(|(prompt, line)| format!("{prompt}|{line}")).collect();
        let mut command = Command::new("python3");
        command.args(["-c", TYPIST, &columns.to_string(), &typed.join("\n"), env!("CARGO_BIN_EXE_dr")]).args(args);
        command.current_dir(self.path("."));
        self.clean(&mut command);
        command
    }

    /// The same, begun.
    pub(crate) fn on_terminal(&self, columns: u32, typed: &[(&str, &str)], args: &[&str]) -> Living {
        self.begin(self.terminal(columns, typed, args))
    }
}
