//! Reading files of a model directory, which may be anything: pipes, devices, of any size.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value};

pub type Message = String;
pub type Object = Map<String, Value>;

/// The largest tokenizer.json on the Hub have 30 to 40 MB.
const MAX_BYTES: u64 = 512 << 20;

pub fn cannot(path: &Path, why: &dyn std::fmt::Display) -> Message {
    format!("cannot load the tokenizer from {}: {why}", path.display())
}

/// True also for a link that leads nowhere: a broken download is an error, not an absent file.
pub fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

pub fn read_file(path: &Path) -> Result<Vec<u8>, Message> {
    // Asked before it is opened: opening a pipe would wait for its writer.
    let found = std::fs::metadata(path).map_err(|error| cannot(path, &error))?;
    if !found.is_file() {
        let what = if found.is_dir() { "a directory" } else { "a pipe, socket or device" };
        return Err(cannot(path, &format!("expected a regular file, found {what}")));
    }
    if found.len() > MAX_BYTES {
        return Err(cannot(path, &format!("it has {} bytes, at most {MAX_BYTES} are read", found.len())));
    }
    let mut bytes = Vec::with_capacity(found.len() as usize);
    let file = File::open(path).map_err(|error| cannot(path, &error))?;
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(|error| cannot(path, &error))?;
    if bytes.is_empty() {
        return Err(cannot(path, &"the file is empty (0 bytes)"));
    }
    if bytes.starts_with(b"version https://git-lfs") {
        return Err(cannot(path, &"it is a Git LFS pointer, not the file itself (`git lfs pull` fetches it)"));
    }
    Ok(bytes)
}

pub fn read_json(path: &Path) -> Result<Value, Message> {
    serde_json::from_slice(&read_file(path)?).map_err(|error| cannot(path, &format!("it is not valid JSON: {error}")))
}

pub fn read_object(path: &Path) -> Result<Object, Message> {
    match read_json(path)? {
        Value::Object(object) => Ok(object),
        _ => Err(cannot(path, &"expected a JSON object")),
    }
}

/// Empty if there is no such file.
pub fn read_object_if_there(path: &Path) -> Result<Object, Message> {
    if exists(path) {
        read_object(path)
    } else {
        Ok(Object::new())
    }
}
