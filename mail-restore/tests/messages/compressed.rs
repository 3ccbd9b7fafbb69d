//! Messages that Dovecot has compressed.

use std::process::Command;

use crate::support::{Site, by_id, by_mailbox, message, paths, piped, work};
use mail_restore::messages::{Error, inspect};

/// Packs `content` as the zlib plugin of Dovecot does.
fn packed(program: &str, content: &[u8]) -> Vec<u8> {
    piped(Command::new(program).arg("-c"), content)
}

/// What Dovecot has compressed is looked into, and what it has encrypted is counted: one of those
/// may be what is asked for, whether another message has the Message-ID or none.
#[test]
fn compressed_messages_are_found_and_encrypted_ones_are_named() {
    let site = Site::new(1, 1);
    let programs = ["gzip", "bzip2", "xz", "zstd"];
    for (number, program) in programs.iter().enumerate() {
        let content = packed(program, &message(&format!("{program}@mx")));
        site.put(&format!("m.example/a/cur/{number}.a:2,S"), &content);
    }
    site.put("m.example/a/cur/8.a:2,S", b"CRYPTED\x03\x07 nobody knows");
    site.put("m.example/a/cur/9.a:2,S", b"\x1f\x8b\x08 is damaged");
    site.back_up(&[]);
    for (number, program) in programs.iter().enumerate() {
        let mut selection = site.choose(&by_id(&format!("{program}@mx")));
        let expected = [format!("m.example/a/cur/{number}.a:2,S")];
        assert_eq!(paths(&selection.candidates), expected, "{program}");
        let unsearched = (selection.unsearched.encrypted, selection.unsearched.unclear);
        assert_eq!(unsearched, (1, 1), "{program}");
        assert!(inspect(&mut selection, &work()).is_empty());
        let subject = selection.candidates[0].subject.clone();
        assert_eq!(subject, Some(format!("about {program}@mx")));
    }
    let Err(Error::NoMatch { unsearched, .. }) = site.find(&by_id("absent@mx")) else {
        panic!("found what is not there")
    };
    assert_eq!((unsearched.encrypted, unsearched.unclear), (1, 1));
    // Without a Message-ID to look for, nothing is left out.
    assert!(
        site.choose(&by_mailbox("a@m.example"))
            .unsearched
            .is_empty()
    );
}

/// A few kB that unpack to 200 MB are read no further than a header can reach.
#[test]
fn a_compressed_message_that_unpacks_without_end_is_read_no_further_than_a_header() {
    let site = Site::new(1, 1);
    let endless = vec![b'x'; 200 << 20];
    site.put("m.example/a/cur/1.a:2,S", &packed("gzip", &endless));
    site.back_up(&[]);
    let Err(Error::NoMatch { unsearched, .. }) = site.find(&by_id("absent@mx")) else {
        panic!("found what is not there")
    };
    assert_eq!(unsearched.unclear, 1);
}
