//! `RESTORE.txt`: how this very set is brought back with stock tools alone, for whoever finds the
//! bucket in ten years.

use mail_common::set::SIGNATURE;
use mail_common::signature::NAMESPACE;

use crate::location::Location;
use crate::remote::SetName;

/// The set, and where it is.
pub(super) struct Guide<'a> {
    pub(super) name: SetName,
    pub(super) location: &'a Location,
    /// Where the store is, unless that is AWS.
    pub(super) endpoint: Option<&'a str>,
    /// Public keys, where it is encrypted.
    pub(super) recipients: Option<&'a str>,
    pub(super) signed: Signed,
}

/// Whether the set says who made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signed {
    Yes,
    No,
}

/// In a shell of its own, as all of it: where the directory cannot be entered nothing is done, and
/// whoever gives the lines again stands where they stood before.
const FETCH: &str = r#"while IFS= read -r line; do
    sum=${line%%  *} name=${line#*  }
    case $sum in \\*) sum=${sum#?} name=$(printf '%b' "$name") ;; esac
    [ "$({ sha256sum <"$name"; } 2>/dev/null)" = "$sum  -" ] ||
        aws s3 cp --quiet "$FROM/pool/$sum" "./$name" </dev/null ||
        echo "missing: $name" >&2
done <checksums.sha256
sha256sum --quiet --strict -c checksums.sha256
)"#;

const DECRYPT: &str = r#"rm manifest.jsonl checksums.sha256
find . -name '*.age' -exec sh -c 'age -d -i "$0" -o "${1%.age}" "$1" && rm "$1"' "$KEY" {} \;
sha256sum --quiet --strict -c checksums.sha256
)"#;

impl Guide<'_> {
    /// The text.
    pub(super) fn text(&self) -> String {
        let Self { name, location, .. } = self;
        let endpoint = self.endpoint.map_or_else(String::new, |endpoint| {
            format!("export AWS_ENDPOINT_URL={}\n", quoted(endpoint))
        });
        let directory = name.to_string().replace('/', "-");
        let from = quoted(&location.to_string());
        let version = env!("CARGO_PKG_VERSION");
        format!(
            "This is the mail backup {name}, stored by mail-s3sync {version}.\n\
             \n\
             Its files lie in {location}/pool/, each under the sha256 of what is stored, which\n\
             checksums.sha256 lists with the name of the file. To bring all of it back, give these\n\
             lines to bash. They need the AWS command line with keys that may read the bucket, and\n\
             can be given again after a failure: what is there and whole is not fetched again. All of\n\
             it is there when sha256sum says nothing.\n\
             \n\
             {endpoint}FROM={from}\n\
             ( mkdir -p {directory} && cd {directory} || exit\n\
             aws s3 cp --quiet --recursive \"$FROM/{name}/\" . --exclude '*/*' --exclude RESTORE.txt\n\
             {FETCH}\n\
             {}{}\n\
             What came is a set: docs/format.md of the tools says how tar, zstd and mariadb open it.\n",
            self.decryption(&directory),
            self.verification(&directory),
        )
    }

    fn decryption(&self, directory: &str) -> String {
        let Some(recipients) = self.recipients else {
            return String::new();
        };
        format!(
            "\n\
             It is encrypted. The last lines need the program age, and in KEY the file of the\n\
             private key of {recipients}:\n\
             \n\
             KEY=/path/to/the/key\n\
             ( cd {directory} || exit\n\
             {DECRYPT}\n"
        )
    }

    fn verification(&self, directory: &str) -> String {
        if self.signed == Signed::No {
            return String::new();
        }
        format!(
            "\n\
             It is signed. With a list of the signers that you trust, as ssh-keygen(1) describes it under\n\
             ALLOWED SIGNERS, these lines say whether one of them made the set, and who. The list must\n\
             not come from this bucket:\n\
             \n\
             SIGNERS=/path/to/the/list\n\
             ( cd {directory} || exit\n\
             who=$(ssh-keygen -Y find-principals -f \"$SIGNERS\" -s {SIGNATURE} | head -n 1)\n\
             ssh-keygen -Y verify -f \"$SIGNERS\" -I \"$who\" -n {NAMESPACE} -s {SIGNATURE} \\\n    \
             <checksums.sha256\n\
             )\n"
        )
    }
}

/// As one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
