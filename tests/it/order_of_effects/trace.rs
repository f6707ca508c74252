//! A trace of system calls, and what it says about the order of their effects.
//!
//! Descriptors are followed by what they are open on (`strace -yy`), since a store may write through one and sync
//! through another.

use std::collections::HashMap;
use std::path::Path;

/// One call; places count lines of the trace.
#[derive(Clone, Debug)]
pub struct Call {
    pub name: String,
    /// What the descriptor in the first place is open on: a path, or an address.
    pub on: String,
    pub arguments: String,
    pub result: String,
    pub begun: usize,
    pub ended: usize,
}

/// The calls of a trace of all threads, in the order of their beginning.
pub fn parse(text: &str) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    let mut unfinished: HashMap<&str, usize> = HashMap::new();
    for (line, content) in text.lines().enumerate() {
        let Some((thread, content)) = content.split_once(' ') else { continue };
        let content = content.trim_start();
        if let Some(rest) = content.strip_prefix("<... ") {
            let Some(index) = unfinished.remove(thread) else { continue };
            let call = &mut calls[index];
            call.ended = line;
            call.arguments.push_str(rest.split_once("resumed>").map_or("", |(_, rest)| rest));
            call.result = result(rest);
            continue;
        }
        let Some((name, arguments)) = content.split_once('(') else { continue };
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            continue;
        }
        let is_unfinished = content.ends_with("<unfinished ...>");
        if is_unfinished {
            unfinished.insert(thread, calls.len());
        }
        calls.push(Call {
            name: name.to_owned(),
            on: opened_on(arguments),
            arguments: arguments.to_owned(),
            result: if is_unfinished { String::new() } else { result(content) },
            begun: line,
            // A call that never came back had no effect that anybody may count on.
            ended: if is_unfinished { usize::MAX } else { line },
        });
    }
    calls
}

/// `9</a/path>, …` is open on `/a/path`; `12<TCP:[127.0.0.1:80->127.0.0.1:90]>` on what is in its brackets.
fn opened_on(arguments: &str) -> String {
    let digits = arguments.trim_start_matches(|c: char| c.is_ascii_digit());
    let inside = digits.strip_prefix('<').unwrap_or_default();
    let end = inside.find(">,").or_else(|| inside.find(">)")).or_else(|| inside.find("> <unf"));
    inside[..end.unwrap_or(0)].to_owned()
}

fn result(line: &str) -> String {
    line.rsplit_once(" = ").map_or(String::new(), |(_, result)| result.trim().to_owned())
}

/// What of the data folder was not safe on the device when the answer began to leave; empty if all was. `exempt`
/// names files that nobody relies on.
pub fn unsafe_effects(
    calls: &[Call],
    data: &Path,
    exempt: &[&str],
    is_answer: impl Fn(&Call) -> bool,
) -> Vec<String> {
    let Some(answer) = calls.iter().find(|call| is_answer(call)) else {
        return vec!["no answer is in the trace".to_owned()];
    };
    let data = data.to_str().unwrap();
    let is_ours = |path: &str| {
        path.starts_with(data) && !exempt.iter().any(|name| path.ends_with(&format!("/{name}")))
    };
    let synced = |path: &str, behind: usize| {
        calls.iter().any(|call| {
            matches!(call.name.as_str(), "fsync" | "fdatasync")
                && call.on == path
                && call.result == "0"
                && call.begun > behind
                && call.ended < answer.begun
        })
    };
    let mut found = Vec::new();
    let mut written = Vec::new();
    for call in calls.iter().take_while(|call| call.begun < answer.begun) {
        match call.name.as_str() {
            "write" | "writev" | "pwrite64" | "pwritev" | "ftruncate" if is_ours(&call.on) => {
                written.push(call.on.clone());
                if !synced(&call.on, call.ended) {
                    found.push(format!("{} {} was not synced", call.name, call.on));
                }
            }
            // `openat(AT_FDCWD</…>, "/data/x", O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, 0600) = 9</data/x>`
            "openat" if call.arguments.contains("O_CREAT|O_EXCL") => {
                let path = call.result.split_once('<').map_or("", |(_, path)| path);
                let path = path.trim_end_matches('>');
                let folder = Path::new(path).parent().and_then(Path::to_str).unwrap_or("");
                if is_ours(path) && !synced(folder, call.ended) {
                    found.push(format!("the name of {path} was not synced"));
                }
            }
            _ => {}
        }
    }
    for part in [".pack", "/journal/ahead"] {
        if !written.iter().any(|path| path.ends_with(part)) {
            found.push(format!("nothing was written to {part}"));
        }
    }
    found
}
