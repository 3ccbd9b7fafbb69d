use std::process::Command;

use mail_tests::s3::program;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use super::*;

fn parse(text: &str) -> Ini {
    Ini::parse(text, Path::new("/c")).unwrap()
}

fn get<'a>(ini: &'a Ini, profile: &str, name: &str) -> Option<&'a str> {
    ini.named("profile", profile)?.get(name).map(String::as_str)
}

#[test]
fn settings_are_read_as_the_aws_command_line_reads_them() {
    let text = "# top\n[default]\n  # mine\naws_secret_access_key = a/b+c==\nREGION=x # y\n[profile \"two\"]\ns3 =\n  \
                max_queue_size = 1\nrole_arn=arn:aws:iam::1:role/r#1\n";
    let ini = parse(text);
    let secret = get(&ini, "default", "aws_secret_access_key");
    assert_eq!(secret, Some("a/b+c=="));
    assert_eq!(get(&ini, "default", "region"), Some("x # y"));
    let role = get(&ini, "two", "role_arn");
    assert_eq!(role, Some("arn:aws:iam::1:role/r#1"));
    assert!(get(&ini, "default", "max_queue_size").is_none());
    assert_eq!(get(&ini, "two", "s3.max_queue_size"), Some("1"));
}

#[test]
fn a_section_may_be_indented_as_a_whole() {
    let text = "\u{feff}[profile  'my host']\r\n\tAWS_Access_Key_Id : A\r\n\r\n\t# c\r\n\ts3 =\r\n\t\t\
                addressing_style = path\r\n\tregion = eu-west-3\r\n[services local]\r\n  s3=\r\n    \
                endpoint_url = http://h:1\r\n  sts =\r\n    endpoint_url=http://t\r\n";
    let ini = parse(text);
    let profile = |name| get(&ini, "my host", name);
    assert_eq!(profile("aws_access_key_id"), Some("A"));
    assert_eq!(profile("s3.addressing_style"), Some("path"));
    assert_eq!(profile("region"), Some("eu-west-3"));
    let services = ini.named("services", "local").unwrap();
    assert_eq!(services["s3.endpoint_url"], "http://h:1");
    assert_eq!(services["sts.endpoint_url"], "http://t");
}

#[test]
fn damage_is_named_with_its_line_and_shows_no_value() {
    let check = |bytes: &[u8], expected: &str| {
        let parsed = Ini::parse_bytes(bytes.to_vec(), Path::new("/c"));
        let error = parsed.map(drop).unwrap_err().to_string();
        assert!(
            error.contains(expected) && !error.contains("hunter2"),
            "{error}"
        );
    };
    check(b"[default]\nhunter2\n", "line 2");
    check(b"secret=hunter2\n", "line 1");
    check(b"[default\n", "line 1");
    check(b"[default]\na=1\na = hunter2\n", "line 3: a setting");
    check(b"[a]\n[default]\n[a]\n", "line 3: a section");
    check(b"[default]\ns3 =\n  hunter2\n", "line 2: not");
    check(b"[default]\n=hunter2\n", "line 2: a value");
    check(b"[default]\nhunter2=\xff\n", "line 2: not UTF-8");
}

/// Prints for each file what the AWS command line makes of it, in a line of JSON; `null` is an
/// error.
const BOTOCORE: &str = r#"
import json, sys
from botocore.configloader import load_config, raw_config_parse
from botocore.exceptions import ConfigParseError

def flat(settings):
    out = {}
    for name, value in settings.items():
        if "." in name: continue
        if isinstance(value, dict): out.update({f"{name}.{k}": v for k, v in value.items()})
        else: out[name] = value
    return out

for path in sys.argv[1:]:
    try:
        loaded, raw = load_config(path), raw_config_parse(path)
    except ConfigParseError:
        print("null")
        continue
    parts = [loaded["profiles"], loaded["services"], raw]
    print(json.dumps([{k: flat(v) for k, v in part.items()} for part in parts]))
"#;

/// A line of such a file, and some that are none.
fn line() -> impl Strategy<Value = String> {
    let indent = prop::sample::select(vec!["", "", "", " ", "  ", "\t", " \t", "    "]);
    let text = prop_oneof![
        3 => prop::sample::select(vec![
            "[default]", "[profile two]", "[profile  'my host']", "[profile \"q\\\"x\"]", "[profile a b]",
            "[services local]", "[DEFAULT]", "[ default ]", "[profile default]", "[profilex y]", "[profile 'z]",
            "[two]", "[default] # c", "[x", "[]", "[a]b]", "[sso-session s]",
        ]),
        6 => prop::sample::select(vec![
            "region = eu-west-1", "region=x # y", "REGION : z", "output =", "s3 =", "s3=", "s3 = # c",
            "addressing_style = path", "Endpoint_URL=http://h:1/a=b", "services = local", "key = a;b ;c",
            "name with blanks = 1", "s3.endpoint_url = no", "aws_secret_access_key = a+/= # d", "= v", "no value",
            "key", "k\u{e9}y = \u{fc}", "a : b = c", "\"quoted\" = \"v\"",
        ]),
        2 => prop::sample::select(vec!["", "# comment", "; comment", "   ", "\t"]),
    ];
    let end = prop::sample::select(vec!["\n", "\n", "\n", "\r\n", " \n", "\t\r\n", "\r"]);
    (indent, text, end).prop_map(|(indent, text, end)| format!("{indent}{text}{end}"))
}

/// What is read of `text`, as `BOTOCORE` prints it.
fn ours(text: &str) -> Value {
    let Ok(ini) = Ini::parse(text, Path::new("/c")) else {
        return Value::Null;
    };
    let all = |kind: &str| {
        let names = ini.0.iter().filter(|(name, _)| name.starts_with(kind));
        let names = names.filter_map(|(name, _)| words(name));
        let names = names
            .filter(|words| words.len() == 2)
            .map(|mut words| words.remove(1));
        let default = (kind == "profile").then(|| "default".to_owned());
        let found = names.chain(default).filter_map(|name| {
            let settings = json!(ini.named(kind, &name)?);
            Some((name, settings))
        });
        found.collect::<serde_json::Map<_, _>>()
    };
    let raw: serde_json::Map<_, _> = ini
        .0
        .iter()
        .map(|(name, settings)| (name.clone(), json!(settings)))
        .collect();
    json!([all("profile"), all("services"), raw])
}

/// The files that people write, and those that they should not.
#[test]
fn every_file_is_read_as_botocore_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut runner = TestRunner::deterministic();
    let files = prop::collection::vec(line(), 0..9);
    let head = prop::sample::select(vec!["[default]\n", "[profile two]\n", ""]);
    let texts: Vec<String> = (0..1500)
        .map(|_| {
            let (head, lines) = (&head, &files).new_tree(&mut runner).unwrap().current();
            format!("{head}{}", lines.concat())
        })
        .collect();
    let mut command = Command::new(program("python3"));
    command.args(["-c", BOTOCORE]).env("PYTHONUTF8", "1");
    for (number, text) in texts.iter().enumerate() {
        let path = dir.path().join(number.to_string());
        mail_common::atomic::write_file(&path, text.as_bytes()).unwrap();
        command.arg(path);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let theirs = String::from_utf8(output.stdout).unwrap();
    let theirs: Vec<Value> = theirs
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(theirs.len(), texts.len());
    for (text, theirs) in texts.iter().zip(&theirs) {
        assert_eq!(&ours(text), theirs, "{text:?}");
    }
    let read = theirs.iter().filter(|value| !value.is_null()).count();
    assert!(
        (300..1200).contains(&read),
        "{read} of the files are good ones"
    );
}

proptest! {
    #[test]
    fn random_text_never_panics(text in ".{0,200}") {
        let _ = Ini::parse(&text, Path::new("/c"));
    }
}
