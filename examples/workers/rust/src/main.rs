//! A stoker worker in Rust: three kinds of jobs, and every kind of reply.
//!
//!     {"kind": "words", "text": "to be or not"}      {"characters": 12, "words": 4, "longest": "not"}
//!     {"kind": "factor", "n": 600851475143}          {"factors": [71, 839, 1471, 6857]}
//!     {"kind": "count", "path": "/etc/services"}     {"lines": 361, "bytes": 12813}
//!
//! Build and try:  cargo build --release && echo '{"id":"1","payload":{"kind":"factor","n":360}}' | target/release/worker

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, BufRead, Read, Write};
use std::panic::{self, AssertUnwindSafe};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

const PIECE: u64 = 8 * 1024 * 1024; // bytes of a file between two words about progress
const MAX_SAFE: u64 = (1 << 53) - 1; // beyond it other languages round, those that submit jobs included
const LATER_SECS: u32 = 30;
const EISDIR: i32 = 21; // io::ErrorKind has names for these two only since Rust 1.83
const ENOTDIR: i32 = 20;

/// The payload stays raw: its depth and its numbers are no concern of the request's.
#[derive(Deserialize)]
struct Request<'a> {
    id: Cow<'a, str>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Job {
    Words { text: String },
    Factor { n: u64 },
    Count { path: String },
}

#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    Words {
        characters: usize,
        words: usize,
        longest: String,
    },
    Factor {
        factors: Vec<u64>,
    },
    Count {
        lines: u64,
        bytes: u64,
    },
}

#[derive(Serialize)]
struct Reply<'a> {
    id: &'a str,
    #[serde(flatten)]
    said: Said,
}

#[derive(Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
enum Said {
    Progress {
        progress: Option<f64>,
        done: u64,
        total: u64,
    },
    Ok {
        result: Outcome,
    },
    Error {
        message: String,
        retry: bool,
    },
    Throttled {
        retry_after_secs: u32,
    },
}

enum Failure {
    Refused(String), // the payload is at fault: it will fail the same way every time
    Busy,            // not now, and nobody's fault
    Other(String),   // may pass: the queue's backoff tries again
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let bad_name = matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::InvalidInput
        );
        if bad_name || matches!(error.raw_os_error(), Some(EISDIR | ENOTDIR)) {
            Failure::Refused(error.to_string())
        } else {
            Failure::Other(error.to_string())
        }
    }
}

fn words(text: &str) -> Outcome {
    let length = |word: &str| word.chars().count(); // characters; len() counts bytes
    let longest = text.split_whitespace().fold("", |best, word| {
        if length(word) > length(best) {
            word
        } else {
            best
        }
    });
    Outcome::Words {
        characters: length(text),
        words: text.split_whitespace().count(),
        longest: longest.to_owned(),
    }
}

fn factor(mut n: u64) -> Result<Outcome, Failure> {
    if !(1..=MAX_SAFE).contains(&n) {
        return Err(Failure::Refused(
            "n: expected a whole number from 1 to 2^53 - 1".into(),
        ));
    }
    let mut factors = Vec::new();
    let mut p = 2;
    while p * p <= n {
        while n % p == 0 {
            factors.push(p);
            n /= p;
        }
        p += 1 + (p & 1); // 2, 3, 5, 7, 9 …
    }
    if n > 1 {
        factors.push(n);
    }
    Ok(Outcome::Factor { factors })
}

fn count(path: &str, progress: &mut dyn FnMut(u64, u64)) -> Result<Outcome, Failure> {
    if busy() {
        return Err(Failure::Busy);
    }
    let mut file = File::open(path)?;
    let total = file.metadata()?.len();
    let (mut lines, mut bytes) = (0, 0);
    let mut piece = Vec::new();
    loop {
        piece.clear(); // keeps its memory
        let read = Read::by_ref(&mut file)
            .take(PIECE)
            .read_to_end(&mut piece)? as u64;
        lines += piece.iter().filter(|&&byte| byte == b'\n').count() as u64;
        bytes += read;
        if read < PIECE {
            return Ok(Outcome::Count { lines, bytes });
        }
        progress(bytes, total);
    }
}

fn busy() -> bool {
    let limit = std::env::var("MAX_LOAD")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(50.0);
    let load = fs::read_to_string("/proc/loadavg").ok(); // Linux only; elsewhere it is never busy
    let load: Option<f64> = load.and_then(|text| text.split(' ').next()?.parse().ok());
    load.map_or(false, |load| load >= limit)
}

fn run(payload: &RawValue, progress: &mut dyn FnMut(u64, u64)) -> Result<Outcome, Failure> {
    let job = serde_json::from_str(payload.get())
        .map_err(|error| Failure::Refused(format!("the payload: {error}")))?;
    match job {
        Job::Words { text } => Ok(words(&text)),
        Job::Factor { n } => factor(n),
        Job::Count { path } => count(&path, progress),
    }
}

fn send(id: &str, said: Said) {
    let mut reply = serde_json::to_vec(&Reply { id, said }).expect("replies are JSON");
    reply.push(b'\n');
    let mut stdout = io::stdout().lock();
    if stdout
        .write_all(&reply)
        .and_then(|()| stdout.flush())
        .is_err()
    {
        std::process::exit(1); // nobody reads any more
    }
}

fn main() {
    // ends when stoker closes stdin: time to go
    for line in io::stdin().lock().lines() {
        let line = line.expect("requests are UTF-8");
        let request: Request = serde_json::from_str(&line).expect("requests are JSON");
        let id = &*request.id;
        let mut progress = |done, total| {
            let share = (total > 0).then(|| done as f64 / total as f64);
            send(
                id,
                Said::Progress {
                    progress: share,
                    done,
                    total,
                },
            );
        };
        // A panic is this job's failure, not the worker's end; its message and place are in the log already.
        let done = panic::catch_unwind(AssertUnwindSafe(|| run(request.payload, &mut progress)));
        let said = match done.unwrap_or_else(|_| Err(Failure::Other("the worker panicked".into())))
        {
            Ok(result) => Said::Ok { result },
            Err(Failure::Busy) => Said::Throttled {
                retry_after_secs: LATER_SECS,
            },
            Err(Failure::Refused(message)) => Said::Error {
                message,
                retry: false,
            },
            Err(Failure::Other(message)) => Said::Error {
                message,
                retry: true,
            },
        };
        send(id, said);
    }
}
