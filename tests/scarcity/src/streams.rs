//! Services whose standard error, disk or working directory is gone.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use crate::service::{Service, scrape};

#[test]
fn warnings_that_cannot_be_written_are_dropped() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let full = || Stdio::from(File::options().write(true).open("/dev/full").expect("a device"));
    for (name, stderr, script) in
        [("full", full(), ""), ("broken", Stdio::from(writer), ""), ("closed", Stdio::inherit(), "exec 2>&-;")]
    {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{script} exec \"$@\""), "sh"]).stderr(stderr);
        let mut service = Service::start(command);
        let addr = service.succeeds("serve");
        service.succeeds("warn");
        service.succeeds("count 2");
        let text = scrape(&addr);
        assert!(text.contains("\nevents_total 2\n"), "{name}: {text}");
    }
}

#[test]
fn scrapes_are_served_while_nothing_reads_the_log() {
    let (mut reader, mut writer) = UnixStream::pair().expect("two sockets");
    writer.set_nonblocking(true).expect("a socket");
    // A few more bytes may fit, although a larger write did not.
    for size in [4_096, 1] {
        let full = (0..).find_map(|_| writer.write(&vec![b'x'; size]).err()).expect("a limit");
        assert_eq!(full.kind(), ErrorKind::WouldBlock);
    }
    // Further writes block.
    writer.set_nonblocking(false).expect("a socket");
    let mut command = Command::new("env");
    command.stderr(OwnedFd::from(writer));
    let mut service = Service::start(command);
    let addr = service.succeeds("serve");
    service.succeeds("count 2");
    let mut garbage = TcpStream::connect(&addr).expect("it listens");
    garbage.write_all(b"\0\0\r\n\r\n").expect("sent");
    // The server closes the connection, and logs that.
    garbage.read_to_end(&mut Vec::new()).expect("closed");
    assert!(scrape(&addr).contains("\nevents_total 2\n"));
    drop(service);
    let mut log = String::new();
    reader.read_to_string(&mut log).expect("UTF-8");
    assert!(!log.contains("a connection failed"), "the log was not full");
}

#[test]
fn a_service_without_a_working_directory_serves_and_writes_absolute_paths() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let gone = directory.path().join("gone");
    fs::create_dir(&gone).expect("created");
    let mut command = Command::new("env");
    command.current_dir(&gone);
    let mut service = Service::start(command);
    fs::remove_dir(&gone).expect("empty");
    let addr = service.succeeds("serve");
    service.succeeds("count 2");
    let error = service.fails("push-once service.prom");
    assert_eq!(error, "error: text_file: cannot write service.prom: the directory . does not exist");
    let file = directory.path().join("service.prom");
    service.succeeds(&format!("push-once {}", file.display()));
    for text in [scrape(&addr), fs::read_to_string(file).expect("written")] {
        assert!(text.contains("\nevents_total 2\n"), "{text}");
    }
}
