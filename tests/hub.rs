//! Models by name, from a hub on this machine: a server of a few lines that has tiny's files.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::{fs, thread};

use crate::support::TINY;

/// Starts a hub with one model, `someone/tiny`, of these files; returns its address. It ends with the tests.
fn hub(files: &'static [&'static str]) -> String {
    hub_of(TINY, files)
}

/// The same with the files of another folder.
fn hub_of(folder: &'static str, files: &'static [&'static str]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || listener.incoming().flatten().for_each(|stream| answer(stream, folder, files)));
    address
}

fn answer(mut stream: TcpStream, folder: &str, files: &[&str]) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let first_byte_only = head.iter().any(|line| line.to_lowercase() == "range: bytes=0-0");
    let path = request.split(' ').nth(1).unwrap_or_default();
    let file = path.strip_prefix("/someone/tiny/resolve/main/").filter(|file| files.contains(file));
    let (status, headers, body) = if path == "/api/models/someone/tiny/revision/main" {
        let siblings: Vec<_> = files.iter().map(|file| serde_json::json!({ "rfilename": file })).collect();
        let list = serde_json::json!({ "sha": "abc", "siblings": siblings });
        ("200 OK", String::new(), list.to_string().into_bytes())
    } else if let Some(file) = file {
        let bytes = fs::read(Path::new(folder).join(file)).unwrap();
        let size = bytes.len();
        let part = if first_byte_only { &bytes[..1] } else { &bytes[..] };
        let range = format!("Content-Range: bytes 0-{}/{size}\r\n", part.len() - 1);
        ("206 Partial Content", format!("{range}ETag: \"{file}\"\r\nX-Repo-Commit: abc\r\n"), part.to_vec())
    } else {
        ("404 Not Found", String::new(), Vec::new())
    };
    let head =
        format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    // Whoever asked may have gone.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
}

/// What `cloze check` says with a model by name, and whether it is content.
fn check(name: &str, address: &str, cache: &Path) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloze"));
    for variable in ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "all_proxy", "https_proxy", "http_proxy"] {
        command.env_remove(variable);
    }
    let verbalizer = "tests/cases/usual/v.json";
    let output = command
        .args(["check", "-v", verbalizer, "-m", &format!("hub:{name}")])
        .env("HF_ENDPOINT", address)
        .env("HF_HOME", cache)
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

const FILES: &[&str] = &[
    "README.md",
    "config.json",
    "vocab.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "model.safetensors",
];

#[test]
fn a_model_by_name_is_fetched_once() {
    let cache = tempfile::tempdir().unwrap();
    let (done, said) = check("someone/tiny", &hub(FILES), cache.path());
    assert!(done, "{said}");
    let folder = cache.path().join("hub/models--someone--tiny/snapshots/abc");
    for file in &FILES[1..] {
        assert_eq!(
            fs::read(folder.join(file)).unwrap(),
            fs::read(Path::new(TINY).join(file)).unwrap(),
            "{file}"
        );
    }
    // Nothing listens there: what is in the cache needs no network.
    let (done, said) = check("someone/tiny", "http://127.0.0.1:9", cache.path());
    assert!(done, "{said}");
}

#[test]
fn weights_in_several_files_are_fetched_with_their_index() {
    const SHARDED: &str = "tests/fixtures/tiny-sharded";
    const FILES: &[&str] = &[
        "config.json",
        "vocab.txt",
        "model.safetensors.index.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ];
    let cache = tempfile::tempdir().unwrap();
    let (done, said) = check("someone/tiny", &hub_of(SHARDED, FILES), cache.path());
    assert!(done, "{said}");
    let (done, said) = check("someone/tiny", "http://127.0.0.1:9", cache.path());
    assert!(done, "{said}");
    // What is not whole is fetched again.
    let file = cache.path().join("hub/models--someone--tiny/snapshots/abc").join(FILES[4]);
    fs::remove_file(&file).unwrap();
    let (done, said) = check("someone/tiny", "http://127.0.0.1:9", cache.path());
    assert!(!done && said.starts_with("error: cannot fetch \"someone/tiny\" from the hub: "), "{said}");
    let cache = tempfile::tempdir().unwrap();
    let (done, said) = check("someone/tiny", &hub_of(SHARDED, &FILES[..4]), cache.path());
    let missing = "it has no model-00002-of-00002.safetensors, which its model.safetensors.index.json names";
    assert!(!done && said.contains(missing), "{said}");
}

#[test]
fn what_the_hub_does_not_have_is_told() {
    let cache = tempfile::tempdir().unwrap();
    let (done, said) = check("someone/tiny", &hub(&["config.json", "vocab.txt"]), cache.path());
    assert!(!done && said.contains("it has no model.safetensors or pytorch_model.bin"), "{said}");
    let tokenizer_to_convert = &["config.json", "spiece.model", "model.safetensors"];
    let (done, said) = check("someone/tiny", &hub(tokenizer_to_convert), cache.path());
    assert!(!done && said.contains("transformers makes the first of spiece.model"), "{said}");
    let (done, said) = check("someone/other", &hub(FILES), cache.path());
    assert!(
        !done && said.starts_with("error: cannot fetch \"someone/other\" from the hub: http status: 404"),
        "{said}"
    );
    let (done, said) = check("someone/other", "http://no-such-host.invalid", cache.path());
    assert!(!done && said.starts_with("error: cannot fetch \"someone/other\" from the hub: "), "{said}");
}

#[test]
fn a_cache_without_the_files_that_change_how_a_model_reads_is_not_whole() {
    let cache = tempfile::tempdir().unwrap();
    let (done, said) = check("someone/tiny", &hub(FILES), cache.path());
    assert!(done, "{said}");
    let file = cache.path().join("hub/models--someone--tiny/snapshots/abc/tokenizer_config.json");
    fs::remove_file(&file).unwrap();
    let (done, said) = check("someone/tiny", "http://127.0.0.1:9", cache.path());
    assert!(!done && said.starts_with("error: cannot fetch \"someone/tiny\" from the hub: "), "{said}");
    let (done, said) = check("someone/tiny", &hub(FILES), cache.path());
    assert!(done && file.exists(), "{said}");
}

#[test]
fn a_file_that_the_hub_does_not_have_is_asked_for_once() {
    let cache = tempfile::tempdir().unwrap();
    let (done, said) =
        check("someone/tiny", &hub(&["config.json", "vocab.txt", "model.safetensors"]), cache.path());
    assert!(done, "{said}");
    let (done, said) = check("someone/tiny", "http://127.0.0.1:9", cache.path());
    assert!(done, "{said}");
}
