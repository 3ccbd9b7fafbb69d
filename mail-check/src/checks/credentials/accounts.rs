//! Names of users, as /etc/passwd has them.

use mail_common::trusted;

const PASSWD: &str = "/etc/passwd";

/// The numbers of users that are given by name or number. A name that this machine does not know is
/// nobody's.
pub(super) fn numbers(users: &[String]) -> Vec<u32> {
    let passwd = trusted::read_to_string(PASSWD).unwrap_or_default();
    users
        .iter()
        .filter_map(|user| user.parse().ok().or_else(|| number_of(user, &passwd)))
        .collect()
}

/// The name of a user, or the number where it has none.
pub(super) fn name(uid: u32) -> String {
    let passwd = trusted::read_to_string(PASSWD).unwrap_or_default();
    let known = accounts(&passwd)
        .find(|(_, number)| *number == uid)
        .map(|(name, _)| name.to_owned());
    known.unwrap_or_else(|| uid.to_string())
}

fn number_of(user: &str, passwd: &str) -> Option<u32> {
    accounts(passwd)
        .find(|(name, _)| *name == user)
        .map(|(_, number)| number)
}

fn accounts(passwd: &str) -> impl Iterator<Item = (&str, u32)> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        Some((fields.next()?, fields.nth(1)?.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name() {
        let passwd =
            "root:x:0:0:root:/root:/bin/bash\nbroken\nopendkim:x:101:105::/run:/bin/false\n";
        assert_eq!(number_of("opendkim", passwd), Some(101));
        assert_eq!(number_of("broken", passwd), None);
        assert_eq!(
            numbers(&["7".to_owned(), "root".to_owned(), "no such user".to_owned()]),
            [7, 0]
        );
        assert_eq!(name(0), "root");
        assert_eq!(name(3_999_999_999), "3999999999");
    }
}
