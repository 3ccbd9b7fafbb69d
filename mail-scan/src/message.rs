//! How people name a message that was found: its Message-ID and its subject.

use mail_common::message::Head;

/// How people name a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Envelope {
    /// As its field has it, angle brackets and all.
    pub(crate) message_id: Option<String>,
    pub(crate) subject: Option<String>,
}

impl Envelope {
    /// What stands in the header of a message that begins with `start`; nothing for what is no
    /// message.
    pub(crate) fn of(start: &[u8]) -> Self {
        let head = Head::of(start, start.len() as u64);
        let text = |name| head.and_then(|head| head.text(name));
        Self {
            message_id: text("Message-ID"),
            subject: text("Subject"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(message: &str, message_id: Option<&str>, subject: Option<&str>) {
        let expected = Envelope {
            message_id: message_id.map(str::to_owned),
            subject: subject.map(str::to_owned),
        };
        assert_eq!(Envelope::of(message.as_bytes()), expected, "{message:?}");
    }

    #[test]
    fn headers_are_read_unfolded_and_decoded() {
        check(
            "Subject: hi\r\nMessage-ID: <1@x>\r\n\r\nSubject: body\r\n",
            Some("<1@x>"),
            Some("hi"),
        );
        check(
            "message-id:\r\n <1@x>\r\nSUBJECT: a\n\tb\n\n",
            Some("<1@x>"),
            Some("a b"),
        );
        check(
            "Subject: =?UTF-8?B?6KuL5rGC?= =?utf-8?Q?=E6=9B=B8_1?= x\n\n",
            None,
            Some("請求書 1 x"),
        );
        check(
            "Subject: =?ISO-8859-1?Q?M=FCller?=\n\n",
            None,
            Some("Müller"),
        );
        check(
            "Subject: =?ISO-2022-JP?B?GyRCQEE1YT1xGyhC?=\n\n",
            None,
            Some("請求書"),
        );
        check("no header at all", None, None);
        check("\r\nSubject: body\r\n", None, None);
    }

    #[test]
    fn nothing_moves_the_cursor() {
        check("Subject: a\x1b[2Jb\n\n", None, Some("a\\u{1b}[2Jb"));
        check(
            "Subject: =?utf-8?B?4oCuZXhlLmZkcA==?=\n\n",
            None,
            Some("\\u{202e}exe.fdp"),
        );
        check("Subject: =?utf-8?Q?a=0D=0Ab?=\n\n", None, Some("a\\r\\nb"));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(message in proptest::collection::vec(any::<u8>(), 0..300)) {
            let envelope = Envelope::of(&message);
            prop_assert!(envelope.subject.is_none_or(|subject| !subject.chars().any(char::is_control)));
        }
    }
}
