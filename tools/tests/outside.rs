//! The tool as a program: what its callers see of it when they interrupt it or stop listening.

#![allow(clippy::unwrap_used, reason = "a test program")]

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

fn xtask(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// The tool with `stdout` as its output: exit code, and what it said about it.
fn with_output(stdout: impl Into<Stdio>, arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = xtask(arguments).stdout(stdout).output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn a_reader_that_has_gone_is_no_news() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(with_output(writer, &["test", "--list"]), (Some(141), String::new()));
}

#[test]
fn a_full_disk_is_an_error_of_one_line() {
    for arguments in [["test", "--list"], ["conformance", "--list"]] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let (code, said) = with_output(full, &arguments);
        assert_eq!((code, said.lines().count()), (Some(1), 1), "{said}");
        assert!(said.contains("cannot print to stdout: No space left"), "{said}");
    }
}

#[test]
fn an_interrupted_suite_says_so() {
    let mut command =
        xtask(&["conformance", "--backend", "fake", "--filter", "rtt", "--jobs", "1"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(said.next().unwrap().unwrap().contains("scenarios on the simulated machine"));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let rest = said.map_while(Result::ok).collect::<String>();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(rest.contains("interrupted"), "{rest}");
}
