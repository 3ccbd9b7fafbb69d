//! The REST API of a user management: it keeps users and domains while it runs, pages its lists,
//! and fails on request.
//!
//! GET and POST `/api/users`, PUT and DELETE `/api/users/{id}`; `/api/domains` likewise, without
//! PUT.

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::http::Request;
use crate::receiver::Receiver;

/// The shape of its lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lists {
    /// `[...]`
    Array,
    /// `{"users": [...]}`
    Object,
    /// Pages of this many users; `next` is a query, such as `?page=2`, or null.
    NextQuery(usize),
    /// Pages of this many users; `next` is a path with a query, or null.
    NextPath(usize),
    /// Pages of this many users, with `total` and `page`.
    Total(usize),
}

/// What happens to a request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It is answered with this status, further lines of the head and this body; nothing is done.
    Answer(u16, &'static str, String),
    /// It is done, and the connection is cut in the middle of the answer.
    Cut,
    /// It is not done, and the client hears nothing until it goes away.
    Hang,
    /// It is done after this time.
    Slow(Duration),
}

/// A running API.
#[derive(Debug)]
pub struct UserApi {
    receiver: Receiver,
    shared: Arc<Mutex<State>>,
}

type Rule = dyn Fn(&Request) -> Option<Fault> + Send + Sync;

struct State {
    lists: Lists,
    users: Vec<Value>,
    domains: Vec<Value>,
    next_id: u64,
    rule: Arc<Rule>,
    seen: Vec<Request>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("users", &self.users)
            .field("domains", &self.domains)
            .finish_non_exhaustive()
    }
}

/// An answer: status, further lines of the head, body.
type Answer = (u16, &'static str, String);

impl UserApi {
    /// With the domain `example.com` and no user.
    #[must_use]
    pub fn start(lists: Lists) -> Self {
        let domains = vec![json!({"id": 1, "name": "example.com"})];
        let state = State {
            lists,
            users: Vec::new(),
            domains,
            next_id: 2,
            rule: Arc::new(|_| None),
            seen: Vec::new(),
        };
        let shared = Arc::new(Mutex::new(state));
        let serving = Arc::clone(&shared);
        Self {
            receiver: Receiver::start(move |stream| serve(&stream, &serving)),
            shared,
        }
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.receiver.port())
    }

    /// Adds a user with an id of its own.
    pub fn put_user(&self, id: impl Into<Value>, email: &str) {
        let user = json!({
            "id": id.into(), "email": email,
            "password": "kept", "password_hash": "$2b$kept", "quota": 1,
        });
        lock(&self.shared).users.push(user);
    }

    /// Chooses the fault of each request from now on.
    pub fn set_rule(&self, rule: impl Fn(&Request) -> Option<Fault> + Send + Sync + 'static) {
        lock(&self.shared).rule = Arc::new(rule);
    }

    /// The password of a user; `None` when there is no such user.
    #[must_use]
    pub fn password(&self, email: &str) -> Option<String> {
        let state = lock(&self.shared);
        let user = state.users.iter().find(|user| user["email"] == email)?;
        Some(user["password"].as_str().unwrap_or_default().to_owned())
    }

    /// All users, as they are kept.
    #[must_use]
    pub fn users(&self) -> Vec<Value> {
        lock(&self.shared).users.clone()
    }

    /// The names of all domains.
    #[must_use]
    pub fn domains(&self) -> Vec<String> {
        lock(&self.shared)
            .domains
            .iter()
            .filter_map(|domain| domain["name"].as_str().map(str::to_owned))
            .collect()
    }

    /// The requests that came since this was asked last.
    #[must_use]
    pub fn seen(&self) -> Vec<Request> {
        std::mem::take(&mut lock(&self.shared).seen)
    }
}

fn lock(shared: &Mutex<State>) -> MutexGuard<'_, State> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One request of a connection. Who has gone away needs no answer.
fn serve(stream: &TcpStream, shared: &Mutex<State>) {
    let Some(request) = Request::read(&mut BufReader::new(stream)) else {
        return;
    };
    let rule = {
        let mut state = lock(shared);
        state.seen.push(request.clone());
        Arc::clone(&state.rule)
    };
    let _ = match rule(&request) {
        Some(Fault::Answer(status, head, body)) => send(stream, &(status, head, body), Whole::Yes),
        Some(Fault::Cut) => send(stream, &lock(shared).perform(&request), Whole::No),
        Some(Fault::Hang) => (&mut &*stream).read_to_end(&mut Vec::new()).map(drop),
        Some(Fault::Slow(time)) => {
            thread::sleep(time);
            send(stream, &lock(shared).perform(&request), Whole::Yes)
        }
        None => send(stream, &lock(shared).perform(&request), Whole::Yes),
    };
}

/// Whether an answer comes to its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whole {
    Yes,
    No,
}

fn send(
    mut stream: &TcpStream,
    (status, head, body): &Answer,
    whole: Whole,
) -> std::io::Result<()> {
    let kind = if head.to_lowercase().contains("content-type") {
        ""
    } else {
        "Content-Type: application/json\r\n"
    };
    let length = if *status == 204 {
        String::new()
    } else {
        format!("Content-Length: {}\r\n", body.len())
    };
    write!(
        stream,
        "HTTP/1.1 {status} x\r\n{kind}{head}{length}Connection: close\r\n\r\n"
    )?;
    let end = if whole == Whole::Yes {
        body.len()
    } else {
        body.len() / 2
    };
    stream.write_all(&body.as_bytes()[..end])
}

impl State {
    fn perform(&mut self, request: &Request) -> Answer {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let body = || serde_json::from_str::<Value>(&request.body).ok();
        let mut words = path.split('/').skip(1);
        match (
            request.method.as_str(),
            words.next(),
            words.next(),
            words.next(),
            words.next(),
        ) {
            ("GET", Some("api"), Some("users"), None, None) => {
                page(&self.users, "users", self.lists, query)
            }
            ("GET", Some("api"), Some("domains"), None, None) => {
                page(&self.domains, "domains", self.lists, query)
            }
            ("POST", Some("api"), Some(kind @ ("users" | "domains")), None, None) => {
                self.create(kind, body())
            }
            ("PUT", Some("api"), Some("users"), Some(id), None) => self.change(id, body()),
            ("DELETE", Some("api"), Some(kind @ ("users" | "domains")), Some(id), None) => {
                self.delete(kind, id)
            }
            _ => (
                404,
                "Content-Type: text/html\r\n",
                "<!doctype html><title>404 Not Found</title>".to_owned(),
            ),
        }
    }

    fn list(&mut self, kind: &str) -> (&mut Vec<Value>, &'static str) {
        if kind == "users" {
            (&mut self.users, "email")
        } else {
            (&mut self.domains, "name")
        }
    }

    fn create(&mut self, kind: &str, body: Option<Value>) -> Answer {
        let id = self.next_id;
        let (list, field) = self.list(kind);
        let Some(mut item) = body.filter(|item| item[field].is_string()) else {
            return no(400, "what is that?");
        };
        if list.iter().any(|known| known[field] == item[field]) {
            return no(409, "is there already");
        }
        item["id"] = json!(id);
        list.push(item.clone());
        self.next_id += 1;
        // As careless as an API can be: it repeats the password.
        (201, "", item.to_string())
    }

    fn change(&mut self, id: &str, body: Option<Value>) -> Answer {
        let Some(user) = self.users.iter_mut().find(|user| has_id(user, id)) else {
            return no(404, "no such user");
        };
        let Some(body) = body.filter(|body| body["password"].is_string()) else {
            return no(400, "no password");
        };
        user["password"] = body["password"].clone();
        (200, "", user.to_string())
    }

    fn delete(&mut self, kind: &str, id: &str) -> Answer {
        let (list, _) = self.list(kind);
        let before = list.len();
        list.retain(|item| !has_id(item, id));
        if list.len() == before {
            no(404, "no such one")
        } else {
            (204, "", String::new())
        }
    }
}

fn no(status: u16, words: &str) -> Answer {
    (status, "", json!({"error": words}).to_string())
}

/// Whether `item` has the id that is written as `encoded` in a path.
fn has_id(item: &Value, encoded: &str) -> bool {
    let id = item["id"]
        .as_str()
        .map_or_else(|| item["id"].to_string(), str::to_owned);
    percent_decode_str(encoded).eq(id.bytes())
}

/// A list, or the page of it that `query` asks for.
fn page(all: &[Value], kind: &str, lists: Lists, query: &str) -> Answer {
    let number: usize = query
        .strip_prefix("page=")
        .and_then(|text| text.parse().ok())
        .unwrap_or(1);
    let part = |size: usize| {
        all.iter()
            .skip(number.saturating_sub(1) * size)
            .take(size)
            .collect::<Vec<_>>()
    };
    let next = |size: usize, before: &str| {
        (number * size < all.len()).then(|| format!("{before}?page={}", number + 1))
    };
    let body = match lists {
        Lists::Array => json!(all),
        Lists::Object => json!({kind: all}),
        Lists::NextQuery(size) => json!({kind: part(size), "next": next(size, "")}),
        Lists::NextPath(size) => {
            json!({kind: part(size), "next": next(size, &format!("/api/{kind}"))})
        }
        Lists::Total(size) => json!({kind: part(size), "total": all.len(), "page": number}),
    };
    // As some servers do, on several lines.
    (
        200,
        "",
        serde_json::to_string_pretty(&body).unwrap_or_default(),
    )
}
