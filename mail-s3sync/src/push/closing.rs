//! The files that close a set in the store: its manifest, then its checksums.
//!
//! A set that is pushed as it is has its own. An encrypted one has others beside it, which say of
//! each file what it is before and after the encryption; its own are among what is encrypted.

use std::collections::HashMap;

use mail_common::checksum::{ChecksumFile, Sha256};
use mail_common::relpath::{PathField, RelPath};
use mail_common::set::MANIFEST;
use serde_json::{Value, json};

use super::Done;
use crate::remote::{AGE, path_of};

/// What stands for the checksums of a set while files of it are replaced: it lists nothing, so
/// nothing is there.
pub(super) fn marker(time: &str) -> Vec<u8> {
    format!("# mail-s3sync is replacing this set since {time}; it is complete again when this line is gone\n")
        .into_bytes()
}

/// The manifest beside an encrypted set: the records of `own`, with the names, sizes and digests of
/// what is stored, those of the set beside them, and a record of type `encrypted` for each file
/// that was no artifact.
pub(super) fn encrypted_manifest(
    own: &[u8],
    recipients: &str,
    done: &[Done],
) -> Result<Vec<u8>, serde_json::Error> {
    let mut by_path: HashMap<&RelPath, &Done> =
        done.iter().map(|done| (&done.item.path, done)).collect();
    let mut manifest = Vec::new();
    let mut end = None;
    for line in own
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let mut record: Value = serde_json::from_slice(line)?;
        match record["type"].as_str() {
            Some("begin") => record["data"]["recipients"] = json!(recipients),
            Some("artifact") => {
                if let Some(done) = path_of(&record["data"]).and_then(|path| by_path.remove(&path))
                {
                    describe(&mut record["data"], done);
                }
            }
            Some("end") => {
                end = Some(record);
                continue;
            }
            _ => {}
        }
        push(&mut manifest, &record)?;
    }
    for done in done
        .iter()
        .filter(|done| by_path.contains_key(&done.item.path))
    {
        let mut data = json!({});
        describe(&mut data, done);
        push(&mut manifest, &json!({"type": "encrypted", "data": data}))?;
    }
    if let Some(end) = end {
        push(&mut manifest, &end)?;
    }
    Ok(manifest)
}

/// The checksums beside an encrypted set.
pub(super) fn encrypted_checksums(manifest: &[u8], done: &[Done]) -> Vec<u8> {
    let mut entries: Vec<(Sha256, RelPath)> = done
        .iter()
        .map(|done| (done.stored, encrypted_path(&done.item.path)))
        .collect();
    entries.extend(RelPath::new(MANIFEST).map(|path| (Sha256::of(manifest), path)));
    entries.sort_by(|a, b| a.1.cmp(&b.1));
    let mut text = Vec::new();
    ChecksumFile::new(entries)
        .format(&mut text)
        .expect("a vector can be written");
    text
}

/// The name of a file after its encryption.
pub(super) fn encrypted_path(path: &RelPath) -> RelPath {
    RelPath::new([path.as_bytes(), AGE.as_bytes()].concat())
        .expect("a longer last component is as safe")
}

fn describe(data: &mut Value, done: &Done) {
    let field = PathField::from(&encrypted_path(&done.item.path));
    data["path"] = json!(field.path);
    if let Some(path_b64) = field.path_b64 {
        data["path_b64"] = json!(path_b64);
    }
    data["bytes"] = json!(done.bytes);
    data["sha256"] = json!(done.stored);
    data["plain_bytes"] = json!(done.item.bytes);
    data["plain_sha256"] = json!(done.item.sha256);
}

fn push(manifest: &mut Vec<u8>, record: &Value) -> Result<(), serde_json::Error> {
    serde_json::to_writer(&mut *manifest, record)?;
    manifest.push(b'\n');
    Ok(())
}
