//! What clamd says of a file. Only the exact `OK` of the question that was asked is clean.

use mail_common::text::printable;

use super::error::Trouble;
use crate::verdict::Verdict;

/// Names of signatures and reasons are quoted in records up to this length.
const QUOTE_MAX_CHARS: usize = 300;

/// How the file was named in the question, which comes back before the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// `stream: ...`
    Stream,
    /// `7: fd[12]: ...`, the seventh question of a session.
    Descriptor(u64),
}

/// Reads a reply, with or without its terminator.
pub(crate) fn parse(reply: &[u8], subject: Subject) -> Result<Verdict, Trouble> {
    if reply.is_empty() {
        return Err(Trouble::NoReply);
    }
    let plain = reply
        .strip_suffix(b"\0")
        .or_else(|| reply.strip_suffix(b"\n"))
        .unwrap_or(reply);
    let unknown = || Trouble::Unknown(quote(plain));
    let text = std::str::from_utf8(plain).map_err(|_| unknown())?;
    let reply = match without_subject(text, subject) {
        Some(reply) => reply,
        // A refusal does not always name the subject.
        None if text.ends_with("ERROR") || text == "COMMAND READ TIMED OUT" => {
            return refusal(text);
        }
        None => return Err(unknown()),
    };
    match reply.strip_suffix(" FOUND") {
        _ if reply == "OK" => Ok(Verdict::Clean),
        Some(name) if is_name(name) => Ok(found(name)),
        None if reply.ends_with("ERROR") => refusal(reply),
        _ => Err(unknown()),
    }
}

/// The number of the question that a reply of a session answers.
pub(crate) fn number(reply: &[u8]) -> Option<u64> {
    let digits = reply.split(|&byte| byte == b':').next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// What follows `stream: ` or `7: fd[12]: `.
fn without_subject(text: &str, subject: Subject) -> Option<&str> {
    match subject {
        Subject::Stream => text.strip_prefix("stream: "),
        Subject::Descriptor(number) => {
            let rest = text.strip_prefix(&format!("{number}: fd["))?;
            let (descriptor, reply) = rest.split_once("]: ")?;
            descriptor
                .bytes()
                .all(|byte| byte.is_ascii_digit())
                .then_some(reply)
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(char::is_control)
}

/// Where clamd is set to report what it could not look into, it does so by the name of a finding.
fn found(name: &str) -> Verdict {
    if name.starts_with("Heuristics.Limits.Exceeded") {
        return Verdict::Unscanned(format!(
            "a limit of clamd ended the scan: {}",
            quote(name.as_bytes())
        ));
    }
    if name.starts_with("Heuristics.Encrypted") {
        return Verdict::Unscanned(format!("encrypted: {}", quote(name.as_bytes())));
    }
    Verdict::Infected(quote(name.as_bytes()))
}

fn refusal(text: &str) -> Result<Verdict, Trouble> {
    if text.contains("size limit exceeded") {
        let reason = "larger than clamd's StreamMaxLength".to_owned();
        return Ok(Verdict::Unscanned(reason));
    }
    Err(Trouble::Refused(quote(text.as_bytes())))
}

fn quote(text: &[u8]) -> String {
    let clean = printable(&String::from_utf8_lossy(text));
    clean.chars().take(QUOTE_MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(reply: &str, subject: Subject, expected: &Verdict) {
        let verdict = parse(reply.as_bytes(), subject).unwrap();
        assert_eq!(&verdict, expected, "{reply:?}");
    }

    fn infected(name: &str) -> Verdict {
        Verdict::Infected(name.to_owned())
    }

    #[test]
    fn replies_of_clamd_are_understood() {
        let (stream, third) = (Subject::Stream, Subject::Descriptor(3));
        check("stream: OK\0", stream, &Verdict::Clean);
        check("3: fd[12]: OK\0", third, &Verdict::Clean);
        check(
            "stream: Eicar-Test-Signature FOUND\0",
            stream,
            &infected("Eicar-Test-Signature"),
        );
        check(
            "3: fd[9]: Win.Test.EICAR_HDB-1 FOUND\0",
            third,
            &infected("Win.Test.EICAR_HDB-1"),
        );
        let limit = "a limit of clamd ended the scan: Heuristics.Limits.Exceeded.MaxFileSize";
        check(
            "stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND\0",
            stream,
            &Verdict::Unscanned(limit.into()),
        );
        let encrypted = "encrypted: Heuristics.Encrypted.Zip";
        check(
            "stream: Heuristics.Encrypted.Zip FOUND\0",
            stream,
            &Verdict::Unscanned(encrypted.into()),
        );
        let size = Verdict::Unscanned("larger than clamd's StreamMaxLength".into());
        check("INSTREAM size limit exceeded. ERROR\0", stream, &size);
        for (reply, refusal) in [
            ("COMMAND READ TIMED OUT\n", "COMMAND READ TIMED OUT"),
            (
                "stream: Can't allocate memory ERROR\0",
                "Can't allocate memory ERROR",
            ),
        ] {
            let parsed = parse(reply.as_bytes(), stream);
            assert!(
                matches!(&parsed, Err(Trouble::Refused(text)) if text == refusal),
                "{reply:?}: {parsed:?}"
            );
        }
    }

    #[test]
    fn nothing_else_is_clean() {
        assert!(matches!(parse(b"", Subject::Stream), Err(Trouble::NoReply)));
        for odd in [
            "OK\0",
            "stream: OK OK\0",
            "stream:OK\0",
            "STREAM: OK\0",
            "stream: ok\0",
            "stream: OK\0\0",
            " stream: OK\0",
            "3: fd[12]: OK\0",
            "fd[12]: OK\0",
            "stream:  FOUND\0",
            "PONG\0",
            "HTTP/1.1 200 OK\r\n",
        ] {
            let parsed = parse(odd.as_bytes(), Subject::Stream);
            assert!(
                matches!(parsed, Err(Trouble::Unknown(_))),
                "{odd:?}: {parsed:?}"
            );
        }
        for odd in [
            "4: fd[12]: OK\0",
            "3: fd[x]: OK\0",
            "3: OK\0",
            "stream: OK\0",
        ] {
            let parsed = parse(odd.as_bytes(), Subject::Descriptor(3));
            assert!(
                matches!(parsed, Err(Trouble::Unknown(_))),
                "{odd:?}: {parsed:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn random_bytes_are_never_clean(reply in proptest::collection::vec(any::<u8>(), 0..80)) {
            for subject in [Subject::Stream, Subject::Descriptor(1)] {
                let parsed = parse(&reply, subject);
                prop_assert!(!matches!(parsed, Ok(Verdict::Clean)), "{parsed:?}");
            }
        }
    }
}
