//! The service over loopback: clients that speak HTTP/1.1 themselves, well and badly.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use cloze::model::folder::ModelFolder;
use cloze::predict::multi_label::way::Way;
use cloze::predict::multi_label::{Centring, MultiLabel, MultiLabelClassifier};
use cloze::predict::prompt_classifier::{Compute, PromptClassifier};
use cloze::serve::{Key, Limits, Running, Service, listen};
use cloze::text::data::Columns;
use cloze::text::labels::of_line;
use cloze::{MaskedLm, Options, Template, Verbalizer};
use serde_json::{Value, json};

use crate::support::{DEFAULT, TINY};

fn mood_of(model: &str) -> PromptClassifier {
    let verbalizer = Verbalizer::of(&[("down", &["terrible", "bad"]), ("up", &["great", "good"])]).unwrap();
    PromptClassifier::builder(MaskedLm::load(model, Options::default()).unwrap())
        .template(Template::from_pattern("{text} It was {mask}.").unwrap())
        .template(Template::from_pattern("A {mask} thing: {text}").unwrap())
        .verbalizer(verbalizer)
        .build()
        .unwrap()
}

fn limits() -> Limits {
    // A machine that is busy elsewhere is slow, not wrong.
    Limits { threads: 2, timeout: Duration::from_secs(600), ..Limits::default() }
}

fn start(limits: Limits) -> Running {
    let service = Service::new().classifier("mood", mood_of(DEFAULT)).limits(limits);
    service.start(listen("127.0.0.1:0").unwrap()).unwrap()
}

/// An answer: its status, its headers in small letters, its body.
struct Answer {
    status: u16,
    headers: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    fn message(&self) -> String {
        self.json()["error"].as_str().unwrap().to_owned()
    }
}

/// Reads one answer of a connection that may stay open.
fn read_answer(stream: &mut BufReader<TcpStream>) -> Option<Answer> {
    let (mut first, mut headers) = (String::new(), String::new());
    if stream.read_line(&mut first).ok()? == 0 {
        return None;
    }
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        let line = line.trim_end().to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
        headers += &(line + "\n");
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let status = first.split(' ').nth(1).unwrap().parse().unwrap();
    Some(Answer { status, headers, body: String::from_utf8(body).unwrap() })
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(600))).unwrap();
    stream
}

fn send(address: SocketAddr, bytes: &[u8]) -> Answer {
    let mut stream = connect(address);
    stream.write_all(bytes).unwrap();
    read_answer(&mut BufReader::new(stream)).unwrap()
}

fn request(method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

const JSON: &str = "Content-Type: application/json\r\n";

fn post(address: SocketAddr, path: &str, body: &Value) -> Answer {
    post_text(address, path, &body.to_string())
}

fn post_text(address: SocketAddr, path: &str, body: &str) -> Answer {
    send(address, &request("POST", path, JSON, body.as_bytes()))
}

fn get(address: SocketAddr, path: &str) -> Answer {
    send(address, &request("GET", path, "", b""))
}

/// Texts of very different lengths.
fn texts() -> Vec<String> {
    let of_length = |words: usize| {
        let word = |at: usize| {
            ["a", "lovely", "film", "and", "terrible", "weather", "in", "spring"][(at * words) % 8]
        };
        (0..words).map(word).collect::<Vec<_>>().join(" ")
    };
    (1..60).map(|number| of_length(number * number % 97 + 1)).collect()
}

/// So many texts that keep a model busy for a while.
fn long_texts(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{number} {}", "a lovely film ".repeat(150))).collect()
}

/// How many rows wait, as the service counts them.
fn waiting_rows(address: SocketAddr) -> u64 {
    let text = get(address, "/metrics").body;
    let line = text.lines().find(|line| line.starts_with("cloze_queue_size ")).unwrap();
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

#[test]
fn answers_are_those_of_a_scoring_whatever_comes_together() {
    let texts = texts();
    let alone: Vec<Vec<f64>> = mood_of(DEFAULT)
        .classify(&texts)
        .unwrap()
        .into_iter()
        .map(|answer| answer.prediction.probabilities)
        .collect();
    let running = start(limits());
    let address = running.address();
    thread::scope(|scope| {
        for part in 0..8 {
            let (texts, alone) = (&texts, &alone);
            scope.spawn(move || {
                // Some clients send one text after the other, some send several at once.
                let size = part % 3 + 1;
                for (from, chunk) in texts.chunks(size).enumerate().skip(part % 2).step_by(2) {
                    let answer = post(address, "/classify", &json!({ "texts": chunk })).json();
                    assert_eq!(answer["labels"], json!(["down", "up"]));
                    for (row, prediction) in answer["predictions"].as_array().unwrap().iter().enumerate() {
                        for (class, label) in ["down", "up"].iter().enumerate() {
                            let share = prediction["probabilities"][label].as_f64().unwrap();
                            assert!((share - alone[from * size + row][class]).abs() < 1e-6);
                        }
                    }
                }
            });
        }
    });
    running.stop();
}

#[test]
fn classify_tells_labels_patterns_and_corrections() {
    let running = start(limits());
    let address = running.address();
    let asked = json!({ "text": "What a lovely film!", "detail": true, "correct": true });
    let answer = post(address, "/classify", &asked).json();
    let prediction = &answer["predictions"][0];
    assert_eq!((&answer["run"], &prediction["label"]), (&json!("mood"), &json!("up")));
    assert_eq!(prediction["patterns"][1]["pattern"], "A {mask} thing: {text}");
    assert_ne!(prediction["patterns"][0]["probabilities"], prediction["patterns"][0]["uncorrected"]);
    let plain = post(address, "/classify", &json!({ "text": "What a lovely film!" })).json();
    assert_ne!(plain["predictions"][0]["probabilities"], prediction["probabilities"]);
    assert_eq!(plain["predictions"][0].get("patterns"), None);
    let rows = json!({ "rows": [{ "text": "Bad.", "id": 7 }, { "text": "Great!", "id": 8 }] });
    let answer = post(address, "/classify", &rows).json();
    assert_eq!(answer["predictions"].as_array().unwrap().len(), 2);
    let own = json!({
        "texts": ["The bank raised its rates.", "She won the race."],
        "templates": ["{text} This is about {mask}."],
        "verbalizer": { "version": 1, "classes": [
            { "label": "money", "words": ["money"] }, { "label": "sport", "words": ["sport"] } ] },
    });
    let answer = post(address, "/classify", &own).json();
    let labels: Vec<&Value> =
        answer["predictions"].as_array().unwrap().iter().map(|each| &each["label"]).collect();
    assert_eq!(labels, ["money", "sport"]);
    assert_eq!(post(address, "/classify", &json!({ "texts": [] })).json()["predictions"], json!([]));
    running.stop();
}

#[test]
fn other_services_shapes_are_spoken() {
    let running = start(limits());
    let address = running.address();
    let labels = |answer: &Value| {
        answer
            .as_array()
            .unwrap()
            .iter()
            .map(|each| each["label"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    // Hugging Face's zero-shot classification: a list for a text, a list of lists for a list.
    let asked = |inputs: Value, more: Value| {
        let mut parameters = json!({ "candidate_labels": ["sports", "business", "technology"] });
        parameters.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        post(address, "/zero-shot", &json!({ "inputs": inputs, "parameters": parameters })).json()
    };
    let one = asked(json!("The striker scored twice in the cup final."), json!({}));
    assert_eq!(labels(&one)[0], "sports");
    let sum: f64 = one.as_array().unwrap().iter().map(|each| each["score"].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-9);
    let two = asked(json!(["The striker scored twice.", "Shares fell on Monday."]), json!({}));
    assert_eq!((labels(&two[0])[0].as_str(), labels(&two[1])[0].as_str()), ("sports", "business"));
    let own = asked(json!("The striker scored."), json!({ "hypothesis_template": "This is {about} {}." }));
    assert_eq!(labels(&own).len(), 3);
    let each = asked(json!("The striker scored twice in the cup final."), json!({ "multi_label": true }));
    assert_eq!(labels(&each)[0], "sports");
    assert!(
        each.as_array().unwrap().iter().all(|each| (0.0..=1.0).contains(&each["score"].as_f64().unwrap()))
    );
    let wrong = asked(json!("x"), json!({ "hypothesis_template": "This is it." }));
    assert_eq!(wrong["problems"][0]["place"]["pointer"], "parameters.hypothesis_template");
    // Words for blanks: a list for one blank, a list of lists for several.
    // The numbers are those of transformers 5 on the same weights (AutoModelForMaskedLM, softmax at the mask).
    let is = |word: &Value, name: &str, share: f64| {
        assert_eq!(word["token_str"], name);
        assert!((word["score"].as_f64().unwrap() - share).abs() < 1e-5, "{word}");
    };
    let filled = post(address, "/fill-mask", &json!({ "inputs": "Paris is the [MASK] of France." })).json();
    is(&filled[0], "city", 0.328_233);
    is(&filled[1], "capital", 0.059_824);
    assert_eq!((&filled[1]["token"], filled.as_array().unwrap().len()), (&json!(3007), 5));
    assert_eq!(filled[1]["sequence"], "Paris is the capital of France.");
    let asked = json!({ "inputs": "[MASK] is the [MASK] of France.", "parameters": { "top_k": 2 } });
    let filled = post(address, "/fill-mask", &asked).json();
    is(&filled[0][1], "paris", 0.046_738);
    is(&filled[1][1], "capital", 0.050_276);
    assert_eq!(filled[1][1]["sequence"], "[MASK] is the capital of France.");
    let asked = json!({ "inputs": "It was [MASK].", "parameters": { "targets": ["good", "bad"] } });
    assert_eq!(post(address, "/fill-mask", &asked).json().as_array().unwrap().len(), 2);
    let none = post(address, "/fill-mask", &json!({ "inputs": "Nothing is missing." }));
    assert_eq!((none.status, none.message().as_str()), (422, "the text has no [MASK] to fill"));
    // None of the likeliest is no question.
    for path in ["/fill-mask", "/"] {
        let asked = r#"{ "inputs": "It was [MASK].", "parameters": { "top_k": 0 } }"#;
        let none = post_text(address, path, asked);
        let message = "request:1:56: top_k must be 1 or more, not 0";
        assert_eq!((none.status, none.message().as_str()), (422, message));
    }
    // text-embeddings-inference: a list for a text, a list of lists for a batch.
    let one = post(address, "/predict", &json!({ "inputs": "Great!" })).json();
    assert_eq!(labels(&one), ["up", "down"]);
    let batch =
        post(address, "/predict", &json!({ "inputs": [["Great!"], ["Terrible."]], "raw_scores": true }));
    assert!(batch.json()[1][0]["score"].as_f64().unwrap() < 0.0);
    let pair = post(address, "/predict", &json!({ "inputs": ["Great!", "Terrible."] }));
    assert_eq!(pair.status, 422);
    assert!(pair.message().contains("a pair of texts"), "{}", pair.message());
    // What huggingface_hub's client sends to the address itself.
    let asked = json!({ "inputs": "Great!", "parameters": { "top_k": 1 } });
    assert_eq!(labels(&post(address, "/", &asked).json()[0]), ["up"]);
    running.stop();
}

#[test]
fn previews_say_what_the_model_sees() {
    let running = start(limits());
    let address = running.address();
    let asked = json!({ "text": "lovely ".repeat(600), "templates": ["{text|shorten} It was {mask}."], "correct": true });
    let preview = post(address, "/preview", &asked).json();
    let pattern = &preview["patterns"][0];
    let mask = pattern["mask"].as_u64().unwrap() as usize;
    assert_eq!(pattern["tokens"][mask], "[MASK]");
    assert!(pattern["cuts"][0]["tokens"].as_array().unwrap().len() > 50);
    assert_eq!(pattern["likeliest"].as_array().unwrap().len(), 10);
    assert_ne!(preview["uncorrected"], preview["probabilities"]);
    let shares = preview["probabilities"].as_object().unwrap().values().map(|share| share.as_f64().unwrap());
    assert!((shares.sum::<f64>() - 1.0).abs() < 1e-6);
    let two = post(address, "/preview", &json!({ "texts": ["a", "b"] }));
    assert_eq!(
        (two.status, two.message().as_str()),
        (422, "a preview is of one row: ask /classify about several")
    );
    running.stop();
}

#[test]
fn mistakes_are_told_with_their_place_and_a_way_out() {
    let running = start(Limits { body_bytes: 2 << 20, ..limits() });
    let address = running.address();
    let problem = |body: &str| {
        let answer = post_text(address, "/classify", body);
        assert_eq!(answer.status, 422, "{}", answer.body);
        answer.json()
    };
    let found = problem("{ \"text\": \"a\",\n  \"detial\": true }");
    assert!(found["error"].as_str().unwrap().starts_with("request:2:3: \"detial\" is not a key here"));
    assert_eq!(found["problems"][0]["place"]["marked"], "\"detial\"");
    let help = &found["problems"][0]["notes"][1];
    assert_eq!((&help["label"], &help["text"]), (&json!("help"), &json!("did you mean detail?")));
    assert_eq!(problem("{ \"text\": 7 }")["error"], "request:1:11: expected a string, found 7");
    assert_eq!(problem("{ \"text\": \"a\" ")["problems"][0]["place"]["line"], 1);
    assert_eq!(problem(" \n")["error"], "the request is empty");
    assert_eq!(problem("{}")["error"], "a request has one of text, texts, rows, and this has none");
    assert_eq!(
        problem(r#"{ "text": "a", "texts": [] }"#)["error"],
        "a request has one of text, texts, rows, and this has text and texts"
    );
    assert!(
        problem(&format!("{{ \"text\": {}{} }}", "[".repeat(9999), "]".repeat(9999)))["error"].is_string()
    );
    assert!(problem(&"[".repeat(200_000))["error"].is_string());
    let unknown = problem(r#"{ "text": "a", "run": "moood" }"#);
    assert_eq!(unknown["error"], "request:1:23: \"moood\" is no classifier of this service");
    let row = problem(r#"{ "rows": [{ "text": "a" }, { "txet": "b" }] }"#);
    assert_eq!(
        (&row["problems"][0]["place"]["source"], &row["problems"][0]["place"]["row"]),
        (&json!("rows"), &json!(2))
    );
    // The same carets as in files.
    let own = problem(r#"{ "text": "a", "templates": ["{text} It was {mask}.", "{titel|shrten} {mask}"] }"#);
    let place = &own["problems"][0]["place"];
    assert_eq!((&place["source"], &place["marked"]), (&json!("templates[1]"), &json!("shrten")));
    let own = problem(
        r#"{ "text": "a", "verbalizer": { "version": 1, "classes": [
            { "label": "a", "words": ["good"] }, { "label": "b", "words": ["bad", "geopolitically"] } ] } }"#,
    );
    let place = &own["problems"][0]["place"];
    assert_eq!(
        (&place["source"], &place["pointer"], &place["marked"]),
        (&json!("verbalizer"), &json!("classes[1].words[1]"), &json!("\"geopolitically\""))
    );
    let labels: Vec<String> = (0..10_000).map(|label| format!("label {label}")).collect();
    let asked = json!({ "inputs": "a", "parameters": { "candidate_labels": labels } });
    assert!(post(address, "/zero-shot", &asked).message().ends_with("10000 labels in one request"));
    // Large, but allowed.
    assert_eq!(post(address, "/classify", &json!({ "text": "word ".repeat(200_000) })).status, 200);
    running.stop();
}

#[test]
fn requests_that_are_none_are_refused_by_what_they_are() {
    let running = start(Limits { body_bytes: 4096, queue: 50, ..limits() });
    let address = running.address();
    let status = |bytes: &[u8]| send(address, bytes).status;
    let binary = send(address, &request("POST", "/classify", JSON, b"{ \"text\": \"\xff\xfe\x00\" }"));
    assert_eq!((binary.status, binary.message().as_str()), (422, "the request is not UTF-8 from byte 11 on"));
    assert_eq!(status(&request("POST", "/classify", "Content-Type: text/plain\r\n", b"{}")), 415);
    assert_eq!(status(&request("POST", "/classify", "", b"{}")), 415);
    assert_eq!(status(&request("POST", "/nowhere", JSON, b"{}")), 404);
    assert_eq!(status(&request("GET", "/../../etc/passwd", "", b"")), 404);
    assert_eq!(status(&request("DELETE", "/classify", JSON, b"{}")), 405);
    assert_eq!(status(b"nonsense\r\n\r\n"), 400);
    let large = send(
        address,
        format!("POST /classify HTTP/1.1\r\nHost: localhost\r\n{JSON}Content-Length: 5000\r\n\r\n")
            .as_bytes(),
    );
    assert_eq!(
        (large.status, large.message().as_str()),
        (413, "the request has more than 4096 bytes: send fewer rows at a time")
    );
    // Without its length, a body is read up to the limit.
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(4096));
    let chunked = format!(
        "POST /classify HTTP/1.1\r\nHost: localhost\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n"
    );
    assert_eq!(status(chunked.as_bytes()), 413);
    let many = post(address, "/classify", &json!({ "texts": vec!["a"; 51] }));
    assert_eq!((many.status, many.message().as_str()), (413, "51 rows in one request"));
    assert_eq!(get(address, "/health").status, 200);
    running.stop();
}

#[test]
fn a_key_is_asked_for_and_readonly_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "correct-horse-battery\n").unwrap();
    let service = Service::new().classifier("mood", mood_of(TINY)).key(Some(Key::read(&file).unwrap()));
    let running = service.readonly(true).limits(limits()).start(listen("127.0.0.1:0").unwrap()).unwrap();
    let address = running.address();
    let with = |key: &str, path: &str, method: &str, body: &[u8]| {
        send(address, &request(method, path, &format!("{JSON}Authorization: {key}\r\n"), body)).status
    };
    let body = br#"{ "text": "good" }"#;
    assert_eq!(with("Bearer correct-horse-battery", "/classify", "POST", body), 200);
    assert_eq!(with("bearer correct-horse-battery", "/classify", "POST", body), 200);
    for key in ["Bearer correct-horse-batterz", "Bearer ", "Basic correct-horse-battery", "é"] {
        assert_eq!(with(key, "/classify", "POST", body), 401);
    }
    for path in ["/info", "/metrics"] {
        assert_eq!(
            (get(address, path).status, with("Bearer correct-horse-battery", path, "GET", b"")),
            (401, 200)
        );
    }
    for path in ["/health", "/ready", "/", "/openapi.json", "/docs"] {
        assert_eq!(get(address, path).status, 200);
    }
    let own = br#"{ "text": "good", "templates": ["{text} {mask}"] }"#;
    assert_eq!(with("Bearer correct-horse-battery", "/classify", "POST", own), 403);
    let labels = br#"{ "inputs": "good", "parameters": { "candidate_labels": "a, b" } }"#;
    assert_eq!(with("Bearer correct-horse-battery", "/zero-shot", "POST", labels), 403);
    running.stop();
}

#[test]
fn a_full_queue_says_when_to_come_again() {
    let running = start(Limits { threads: 1, queue: 20, ..limits() });
    let address = running.address();
    let asked = json!({ "texts": long_texts(20) });
    let first = thread::spawn(move || post(address, "/classify", &asked).status);
    let until = Instant::now() + Duration::from_secs(60);
    while waiting_rows(address) == 0 {
        assert!(Instant::now() < until, "no row waits");
    }
    let refused = post(address, "/classify", &json!({ "texts": long_texts(20) }));
    assert_eq!(refused.status, 429);
    assert!(refused.headers.contains("retry-after: 1"), "{}", refused.headers);
    assert_eq!(first.join().unwrap(), 200);
    running.stop();
}

#[test]
fn a_client_that_leaves_frees_its_places() {
    let running = start(Limits { threads: 1, queue: 400, ..limits() });
    let address = running.address();
    let body = json!({ "texts": long_texts(400) }).to_string();
    let mut leaving = connect(address);
    leaving.write_all(&request("POST", "/classify", JSON, body.as_bytes())).unwrap();
    let wait_for = |wanted: &dyn Fn(u64) -> bool| {
        let until = Instant::now() + Duration::from_secs(30);
        while !wanted(waiting_rows(address)) {
            assert!(Instant::now() < until, "{} rows wait", waiting_rows(address));
            thread::sleep(Duration::from_millis(5));
        }
    };
    wait_for(&|waiting| waiting > 300);
    leaving.shutdown(Shutdown::Both).unwrap();
    drop(leaving);
    let before = Instant::now();
    wait_for(&|waiting| waiting == 0);
    // 300 of these texts take much longer.
    assert!(before.elapsed() < Duration::from_secs(5), "{:?}", before.elapsed());
    assert_eq!(post(address, "/classify", &json!({ "text": "good" })).status, 200);
    running.stop();
}

#[test]
fn what_takes_too_long_is_given_up() {
    let running = start(Limits { threads: 1, timeout: Duration::from_millis(300), ..limits() });
    let answer = post(running.address(), "/classify", &json!({ "texts": long_texts(500) }));
    assert_eq!(answer.status, 503);
    assert_eq!(answer.message(), "the answer was not there within 0.3 seconds");
    assert!(answer.headers.contains("retry-after: 1"));
    running.stop();
}

#[test]
fn slow_clients_lose_their_connections() {
    let running = start(Limits { read_timeout: Duration::from_millis(300), connections: 4, ..limits() });
    let address = running.address();
    // As many as there are places: none is left for others until these are told to go.
    let slow: Vec<TcpStream> = (0..4)
        .map(|_| {
            let mut stream = connect(address);
            stream.write_all(b"POST /classify HTTP/1.1\r\nHost: localhost\r\nX-A").unwrap();
            stream
        })
        .collect();
    let before = Instant::now();
    assert_eq!(get(address, "/health").status, 200);
    assert!(before.elapsed() < Duration::from_secs(20), "{:?}", before.elapsed());
    for mut stream in slow {
        let mut rest = Vec::new();
        // It is closed, with or without a word.
        let _ = stream.read_to_end(&mut rest);
    }
    let mut stream = connect(address);
    stream
        .write_all(
            format!("POST /classify HTTP/1.1\r\nHost: localhost\r\n{JSON}Content-Length: 90\r\n\r\n{{")
                .as_bytes(),
        )
        .unwrap();
    let answer = read_answer(&mut BufReader::new(stream)).unwrap();
    assert_eq!(
        (answer.status, answer.message().as_str()),
        (408, "the body was not there within 0.3 seconds")
    );
    running.stop();
}

#[test]
fn room_is_held_for_what_came_and_not_for_what_is_announced() {
    let all_bodies_bytes = 1000;
    let running = start(Limits { body_bytes: 900, all_bodies_bytes, ..limits() });
    let address = running.address();
    // Together they announce far more than there is room for, and send nothing of it.
    let slow: Vec<TcpStream> = (0..8)
        .map(|_| {
            let mut stream = connect(address);
            let head =
                format!("POST /classify HTTP/1.1\r\nHost: localhost\r\n{JSON}Content-Length: 900\r\n\r\n{{");
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    assert_eq!(post(address, "/classify", &json!({ "text": "good" })).status, 200);
    drop(slow);
    // What came counts all the same, as long as it may wait for the rest.
    let until = Instant::now() + Duration::from_secs(60);
    let refused = || {
        let mut stream = connect(address);
        let head =
            format!("POST /classify HTTP/1.1\r\nHost: localhost\r\n{JSON}Content-Length: 900\r\n\r\n{{");
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&[b' '; 890]).unwrap();
        // It may not have been read yet.
        (0..10).any(|_| post(address, "/classify", &json!({ "text": "good".repeat(40) })).status == 429)
    };
    while !refused() {
        assert!(Instant::now() < until, "there is always room");
    }
    running.stop();
}

#[test]
fn a_service_for_this_machine_answers_to_its_names_alone() {
    let running = start(limits());
    let address = running.address();
    let asked = |host: &str, path: &str| {
        send(address, format!("GET {path} HTTP/1.1\r\n{host}Connection: close\r\n\r\n").as_bytes())
    };
    for host in ["localhost", "LocalHost:8080", "127.0.0.1:9", "[::1]", "[::1]:80", "play.localhost"] {
        assert_eq!(asked(&format!("Host: {host}\r\n"), "/health").status, 200, "{host}");
    }
    for host in [
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "10.0.0.1",
        "",
    ] {
        for path in ["/", "/info", "/health"] {
            let refused = asked(&format!("Host: {host}\r\n"), path);
            assert_eq!(refused.status, 421, "{host}");
            assert_eq!(refused.json()["error_type"], "host");
        }
    }
    running.stop();
    // A page of another site has no key.
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "correct-horse-battery").unwrap();
    let key = Some(Key::read(file.path()).unwrap());
    let running = Service::new()
        .classifier("mood", mood_of(TINY))
        .key(key)
        .start(listen("127.0.0.1:0").unwrap())
        .unwrap();
    let request = b"GET /health HTTP/1.1\r\nHost: cloze.example.org\r\nConnection: close\r\n\r\n";
    assert_eq!(send(running.address(), request).status, 200);
    running.stop();
}

#[test]
fn requests_in_one_write_are_answered_in_their_order() {
    let running = start(limits());
    let mut stream = connect(running.address());
    let body = br#"{ "text": "good" }"#;
    let all = [
        request("POST", "/classify", JSON, body),
        request("GET", "/health", "", b""),
        request("POST", "/classify", JSON, b"{}"),
        request("GET", "/ready", "", b""),
    ];
    stream.write_all(&all.concat()).unwrap();
    let mut answers = BufReader::new(stream);
    let statuses: Vec<u16> = (0..4).map(|_| read_answer(&mut answers).unwrap().status).collect();
    assert_eq!(statuses, [200, 200, 422, 200]);
    running.stop();
}

#[test]
fn what_is_under_way_is_finished_before_the_end() {
    let running = start(Limits { threads: 1, ..limits() });
    let address = running.address();
    let asked = json!({ "texts": long_texts(40) });
    let client = thread::spawn(move || post(address, "/classify", &asked));
    let until = Instant::now() + Duration::from_secs(30);
    while waiting_rows(address) == 0 {
        assert!(Instant::now() < until, "no row waits");
    }
    running.stop();
    assert_eq!(client.join().unwrap().status, 200);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn metrics_and_the_description_say_what_there_is() {
    let running = start(limits());
    let address = running.address();
    post(address, "/classify", &json!({ "texts": ["good", "bad"] }));
    post(address, "/classify", &json!({}));
    let text = get(address, "/metrics").body;
    for line in [
        "cloze_requests_total{route=\"/classify\"} 2",
        "cloze_request_failures_total{route=\"/classify\",status=\"422\"} 1",
        "cloze_request_duration_seconds_count{route=\"/classify\"} 2",
        "cloze_queue_size 0",
        "cloze_batch_rows_sum 2.0",
        "cloze_queue_duration_seconds_count 2",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    let description = get(address, "/openapi.json").json();
    for route in ["/classify", "/preview", "/zero-shot", "/fill-mask", "/predict", "/"] {
        let schema =
            &description["paths"][route]["post"]["requestBody"]["content"]["application/json"]["schema"];
        let name = schema["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
        assert!(description["components"]["schemas"][name]["properties"].is_object(), "{route}: {schema}");
    }
    let info = get(address, "/info").json();
    assert_eq!(info["model_id"], "cloze-minilm-l6");
    assert_eq!(info["classifiers"][0]["labels"], json!(["down", "up"]));
    for path in ["/", "/docs", "/playground.js"] {
        let page = get(address, path);
        assert!(page.headers.contains("content-security-policy: default-src 'none'"), "{}", page.headers);
        assert!(page.headers.contains("x-content-type-options: nosniff"));
    }
    running.stop();
}

#[test]
fn names_are_checked_and_likely_enough_labels_said() {
    let two = || Service::new().classifier("mood", mood_of(TINY)).classifier("mood", mood_of(TINY));
    let error = two().start(listen("127.0.0.1:0").unwrap()).err().unwrap().to_string();
    assert_eq!(error, "two classifiers are named \"mood\"");
    let wrong = Service::new().classifier("<script>", mood_of(TINY));
    assert!(wrong.start(listen("127.0.0.1:0").unwrap()).is_err());
    assert!(Service::new().start(listen("127.0.0.1:0").unwrap()).is_err());
    let careful = Service::new().abstaining("mood", mood_of(TINY), Some(0.999_999));
    let running = careful.limits(limits()).start(listen("127.0.0.1:0").unwrap()).unwrap();
    let answer = post(running.address(), "/classify", &json!({ "text": "good" })).json();
    assert_eq!(
        (&answer["predictions"][0]["label"], &answer["predictions"][0]["abstained"]),
        (&Value::Null, &json!(true))
    );
    running.stop();
}

/// The command, once it listens, and where.
fn command(arguments: &[&str]) -> (Child, BufReader<std::process::ChildStderr>, SocketAddr) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_cloze"))
        .args(["serve", "--port", "0", "--model", TINY])
        .args(arguments)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    let port = line.trim_end().rsplit(':').next().unwrap().parse().unwrap_or_else(|_| panic!("{line}"));
    (child, stderr, SocketAddr::from(([127, 0, 0, 1], port)))
}

#[cfg(unix)]
#[test]
fn the_command_ends_well_when_it_is_told_to() {
    let (mut child, mut stderr, address) = command(&["--labels", "good, bad"]);
    assert_eq!(get(address, "/info").json()["classifiers"][0]["name"], "labels");
    assert_eq!(post(address, "/classify", &json!({ "text": "good" })).status, 200);
    let told = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(told.success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "finishing what is under way; once more stops at once\n");
}

#[cfg(unix)]
#[test]
fn that_everybody_is_answered_is_told_whatever_is_kept_quiet() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_cloze"))
        .args([
            "serve",
            "--port",
            "0",
            "--host",
            "0.0.0.0",
            "--quiet",
            "--model",
            TINY,
            "--labels",
            "good, bad",
        ])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(
        line,
        "warning: everybody who reaches this address is answered: --api-key-file asks for a key\n"
    );
}

#[test]
fn a_port_that_is_taken_is_told_before_anything_is_loaded() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_cloze"))
        .args(["serve", "--port", &port, "--model", "no-such-model"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.starts_with(&format!("error: another program listens on 127.0.0.1:{port} already")),
        "{told}"
    );
}

fn several_labels(way: Way) -> MultiLabelClassifier {
    let labels = of_line("music, sport, money").unwrap();
    let reference = ["other".to_owned()];
    let pattern = match way {
        Way::Reference => "{text} This is about {mask}.",
        Way::YesNo => "{text} Is this about {label_name}? {mask}.",
    };
    let templates = vec![Template::from_pattern(pattern).unwrap()];
    let folder = ModelFolder::open(DEFAULT.as_ref()).unwrap();
    let parts =
        MultiLabel::of_labels(&labels, way, &reference, templates, folder, Options::default(), None).unwrap();
    let mut classifier = parts.load(Compute::default()).unwrap();
    let columns = Columns::check("texts", vec!["text".to_owned()], None).unwrap();
    classifier.centre(Centring::WithoutContent, &columns, &[]).unwrap();
    classifier
}

#[test]
fn a_classifier_of_several_labels_gives_those_that_it_gives_elsewhere() {
    let texts = ["The band plays at the match on Sunday.", "How do I pay my invoice?", "It rains."];
    let classifier = several_labels(Way::Reference);
    let wanted = classifier.classify(&texts).unwrap();
    let service = Service::new().several("topics", classifier).unwrap().classifier("mood", mood_of(DEFAULT));
    let running = service.limits(limits()).start(listen("127.0.0.1:0").unwrap()).unwrap();
    let found = post(running.address(), "/classify", &json!({ "texts": texts, "detail": true })).json();
    let labels = ["music", "sport", "money"];
    assert_eq!(found["labels"], json!(labels));
    let scores = post(running.address(), "/predict", &json!({ "inputs": texts.map(|text| [text]) })).json();
    for (row, wanted) in wanted.iter().enumerate() {
        let answer = &found["predictions"][row];
        let given: Vec<&str> =
            (0..3).filter(|&label| wanted.given[label]).map(|label| labels[label]).collect();
        assert_eq!(answer["labels"], json!(given));
        for (label, wanted) in labels.iter().zip(&wanted.probabilities) {
            let close = |found: &Value| (found.as_f64().unwrap() - wanted).abs() < 1e-6;
            assert!(close(&answer["probabilities"][label]), "{answer}");
            let score =
                scores[row].as_array().unwrap().iter().find(|score| score["label"] == *label).unwrap();
            assert!(close(&score["score"]), "{scores}");
        }
        assert_eq!(answer["patterns"].as_array().unwrap().len(), 1);
    }
    let classifiers = &get(running.address(), "/info").json()["classifiers"];
    assert_eq!(classifiers[0]["labels"], json!(labels));
    assert_eq!(
        (&classifiers[0]["several_labels"], &classifiers[1]["several_labels"]),
        (&json!(true), &json!(false))
    );
    // What a request brings gives one label.
    let one = json!({ "text": texts[0], "templates": ["{text} It was {mask}."], "verbalizer": { "version": 1, "classes": [
        { "label": "up", "words": ["great"] }, { "label": "down", "words": ["bad"] } ] } });
    let one = post(running.address(), "/classify", &one).json();
    assert!(one["predictions"][0]["label"].is_string(), "{one}");
    running.stop();
    assert!(Service::new().several("topics", several_labels(Way::YesNo)).is_err());
}
