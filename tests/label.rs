//! Labelling: a project's file, and the page's questions over loopback.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::thread;

use cloze::error::{Kind, LabelError};
use cloze::label::{
    About, Given, Labelling, OrderRequest, Outcome, Placed, Project, agreement, export, export_tasks, order,
};
use cloze::predict::selection::{Pool, PoolRequest, Strategy};
use cloze::serve::listen;
use cloze::text::data::{Example, Format, Reading, Rows};
use serde_json::{Value, json};

fn pool(rows: usize) -> Pool {
    let file: String = (1..=rows).map(|row| format!("text {row},{row}\n")).collect();
    let file = format!("text,id\n{file}");
    let rows = Rows::read(Box::new(std::io::Cursor::new(file)), "rows", Format::Csv, None).unwrap();
    Pool::read(PoolRequest { rows, labelled: Vec::new(), tasks: &[] }).unwrap()
}

fn placed(rows: usize, held_out_share: f64) -> Vec<Placed> {
    let asked = OrderRequest { strategy: Strategy::Random, count: 0, looked_at: 0, held_out_share, seed: 3 };
    order(&pool(rows), &asked, |_, _| panic!("nothing is looked at")).unwrap()
}

fn about() -> About {
    About {
        data: "rows.csv".to_owned(),
        data_hash: "0a".to_owned(),
        columns: ["text", "id"].map(str::to_owned).to_vec(),
        label_column: None,
        labels: ["down", "up"].map(str::to_owned).to_vec(),
        chosen_by: "random".to_owned(),
        held_out_share: 0.1,
    }
}

fn given(place: u32, labeller: &str, label: Option<&str>) -> Given {
    Given { place, labeller: labeller.to_owned(), label: label.map(str::to_owned), ..Given::default() }
}

#[test]
fn rows_to_test_on_are_drawn_from_all_and_stand_in_even_distances() {
    let asked =
        OrderRequest { strategy: Strategy::Margin, count: 5, looked_at: 20, held_out_share: 0.25, seed: 1 };
    let found = order(&pool(40), &asked, |pool, wish| {
        assert_eq!((pool.examples.len(), wish.count, wish.random_share), (20, 5, 0.0));
        let best =
            |index| cloze::predict::selection::Chosen { index, by: Strategy::Margin, score: Some(0.5) };
        Ok([7, 3, 1, 0, 9].map(best).to_vec())
    })
    .unwrap();
    let mut records: Vec<u64> = found.iter().map(|row| row.example.record).collect();
    records.sort_unstable();
    assert_eq!(records, (1..=40).collect::<Vec<_>>());
    let held_out: Vec<usize> = (0..40).filter(|at| found[*at].held_out).collect();
    assert_eq!(held_out, (0..10).map(|at| 4 * at + 3).collect::<Vec<_>>());
    let by_margin: Vec<usize> = (0..40).filter(|at| found[*at].by == Strategy::Margin).collect();
    assert_eq!(by_margin, [0, 1, 2, 4, 5]);
    // Which rows are kept to test on has nothing to do with what chooses the others.
    let other = OrderRequest { strategy: Strategy::Random, ..asked };
    let other = order(&pool(40), &other, |_, _| Ok(Vec::new())).unwrap();
    let kept = |rows: &[Placed]| -> Vec<u64> {
        rows.iter().filter(|row| row.held_out).map(|row| row.example.record).collect()
    };
    assert_eq!(kept(&found), kept(&other));
}

#[test]
fn what_is_answered_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("project");
    let mut one = Project::create(&path, &about(), &placed(10, 0.1)).unwrap();
    // Another program on the same file sees each answer at once.
    let mut other = Project::open(&path).unwrap();
    assert_eq!(one.answer(&given(0, "anna", Some("up"))).unwrap(), Outcome::Kept);
    let Outcome::Answered(stands) = other.answer(&given(0, "anna", Some("down"))).unwrap() else {
        panic!("the first answer stands");
    };
    assert_eq!(stands.label.as_deref(), Some("up"));
    assert_eq!(other.next("anna").unwrap().unwrap().place, 1);
    assert_eq!(other.next("ben").unwrap().unwrap().place, 0);
    let instead = Given { instead: true, ..given(0, "anna", Some("down")) };
    assert_eq!(other.answer(&instead).unwrap(), Outcome::Kept);
    other.answer(&given(1, "anna", None)).unwrap();
    other.answer(&Given { note: "hm".to_owned(), ..given(2, "anna", Some("up")) }).unwrap();
    let far = one.progress("anna").unwrap();
    assert_eq!((far.rows, far.labelled, far.skipped, far.of_labels), (10, 2, 1, vec![1, 1]));
    let undone = one.undo("anna").unwrap().unwrap();
    assert_eq!((undone.place, undone.before.unwrap().note.as_str()), (2, "hm"));
    assert_eq!(one.undo("anna").unwrap().unwrap().place, 1);
    assert_eq!(one.undo("anna").unwrap().unwrap().place, 0);
    assert_eq!(one.undo("anna").unwrap(), None);
    one.answer(&given(0, "anna", None)).unwrap();
    assert_eq!(one.again("anna").unwrap(), 1);
    assert_eq!(one.next("anna").unwrap().unwrap().place, 0);
    for wrong in [given(10, "anna", Some("up")), given(0, "anna", Some("Up")), given(0, " ", None)] {
        assert!(matches!(one.answer(&wrong).unwrap_err().kind(), Kind::Label(_)), "{wrong:?}");
    }
    let long = Given { note: "x".repeat(10_001), ..given(0, "anna", None) };
    assert!(matches!(one.answer(&long).unwrap_err().kind(), Kind::Label(LabelError::LongNote { .. })));
}

#[test]
fn tables_have_the_label_that_most_gave() {
    let folder = tempfile::tempdir().unwrap();
    let rows = placed(10, 0.1);
    let mut project = Project::create(&folder.path().join("project"), &about(), &rows).unwrap();
    let (out, apart) = (folder.path().join("out.csv"), folder.path().join("test.jsonl"));
    let refused = export(&project, &out, None, false).unwrap_err();
    assert!(matches!(refused.kind(), Kind::Label(LabelError::NothingLabelled { .. })) && !out.exists());
    let said = [
        (0, [Some("up"), Some("up"), Some("down")]),
        (1, [Some("up"), Some("down"), None]),
        (2, [None, None, None]),
        (9, [Some("down"), None, None]),
    ];
    for (place, labels) in said {
        for (labeller, label) in ["anna", "ben", "cy"].into_iter().zip(labels) {
            project.answer(&given(place, labeller, label)).unwrap();
        }
    }
    let exported = export(&project, &out, Some(&apart), false).unwrap();
    assert_eq!((exported.rows, exported.held_out, exported.skipped, exported.disputed), (1, 1, 1, 1));
    let (first, last) = (&rows[0].example.fields, &rows[9].example.fields);
    let table =
        format!("text,id,label,labeller,note,held_out\n{},{},up,anna | ben | cy,,0\n", first[0], first[1]);
    assert_eq!(std::fs::read_to_string(&out).unwrap(), table);
    let row: Value = serde_json::from_str(&std::fs::read_to_string(&apart).unwrap()).unwrap();
    assert_eq!((&row["text"], &row["label"], &row["held_out"]), (&json!(last[0]), &json!("down"), &json!(1)));
    export(&project, &out, None, true).unwrap();
    assert_eq!(std::fs::read_to_string(&out).unwrap().lines().count(), 5);
    // As tasks of Label Studio, which are rows again.
    let tasks = folder.path().join("tasks.json");
    for (all, wanted) in [(false, 4), (true, 10)] {
        export_tasks(&project, &tasks, all).unwrap();
        let again: Vec<Example> = Reading::default().open(&tasks).unwrap().map(Result::unwrap).collect();
        let labels: Vec<Option<&str>> = again.iter().map(|row| row.label.as_deref()).collect();
        assert_eq!((labels.len(), &labels[..3]), (wanted, &[Some("up"), None, None][..]));
        assert_eq!((labels[wanted - 1], &again[wanted - 1].fields[..2]), (Some("down"), &last[..]));
    }
    let found = agreement(&project.answers().unwrap(), &about().labels);
    let places: Vec<u32> = found.disputed.iter().map(|row| row.place).collect();
    assert_eq!(places, [0, 1]);
    assert_eq!((found.pairs[0].rows, found.pairs[0].agreed), (2, 1));
}

/// An answer: its status, and its body as JSON.
fn post(address: SocketAddr, path: &str, host: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json"
    );
    write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer[9..12].parse().unwrap();
    (status, serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap_or_default())
}

fn serve(path: &Path) -> (cloze::serve::Running, SocketAddr) {
    let labelling = Labelling::new(Project::open(path).unwrap(), "anna").unwrap();
    let running = labelling.start(listen("127.0.0.1:0").unwrap()).unwrap();
    let address = running.address();
    (running, address)
}

#[test]
fn the_page_asks_and_many_answer_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("project");
    drop(Project::create(&path, &about(), &placed(40, 0.1)).unwrap());
    let (running, address) = serve(&path);
    let (status, state) = post(address, "/state", "localhost:1", "{}");
    assert_eq!((status, &state["labeller"], &state["row"]["place"]), (200, &json!("anna"), &json!(0)));
    // Eight of one name on all rows, each in another order: every row is answered once, and no answer is lost.
    let kept: u64 = thread::scope(|scope| {
        let answering = |shift: usize| {
            (0..40_usize).filter(move |row| {
                let body = json!({ "labeller": "anna", "place": (row * 7 + shift * 5) % 40, "label": "up" });
                let (status, _) = post(address, "/answer", "127.0.0.1", &body.to_string());
                assert!(status == 200 || status == 409, "{status}");
                status == 200
            })
        };
        let threads: Vec<_> =
            (0..8).map(|shift| scope.spawn(move || answering(shift).count() as u64)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(kept, 40);
    let (_, state) = post(address, "/state", "[::1]:1", "{}");
    assert_eq!((&state["row"], &state["progress"]["labelled"]), (&Value::Null, &json!(40)));
    for (path, host, body, wanted) in [
        ("/state", "elsewhere.example", "{}", 403),
        ("/state", "localhost.example:80", "{}", 403),
        ("/state", "localhost", r#"{"labeler": "anna"}"#, 422),
        ("/state", "localhost", r#"{"labeller": "a\nb"}"#, 422),
        ("/state", "localhost", "{", 422),
        ("/answer", "localhost", r#"{"labeller": "ben", "place": 0, "label": "sideways"}"#, 422),
        ("/answer", "localhost", r#"{"labeller": "ben", "place": 40, "label": null}"#, 422),
        ("/answer", "localhost", r#"{"labeller": "ben", "place": -1, "label": null}"#, 422),
        ("/undo", "localhost", r#"{"labeller": "ben"}"#, 409),
        ("/opinion", "localhost", r#"{"place": 0}"#, 409),
        ("/nothing", "localhost", "{}", 404),
    ] {
        let (status, told) = post(address, path, host, body);
        assert!(status == wanted && told["error"].is_string(), "{path} {body}: {status} {told}");
    }
    running.stop();
    assert_eq!(Project::open(&path).unwrap().progress("anna").unwrap().labelled, 40);
}

#[test]
fn what_is_no_project_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("project");
    let kind = |path: &Path| Project::open(path).err().unwrap();
    assert!(matches!(kind(&path).kind(), Kind::Label(LabelError::NoProject { .. })));
    std::fs::write(&path, "").unwrap();
    assert!(!Project::is_there(&path));
    drop(Project::create(&path, &about(), &placed(5, 0.0)).unwrap());
    // Whoever makes one where one is gets that one.
    let other = About { labels: vec!["a".to_owned(), "b".to_owned()], ..about() };
    assert_eq!(Project::create(&path, &other, &[]).unwrap().about(), &about());
    let whole = std::fs::read(&path).unwrap();
    for cut in [1, 90, 4096, whole.len() / 2] {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let refused = Project::open(&path).and_then(|project| {
            project.next("anna")?;
            project.progress("anna")
        });
        let error = refused.err().unwrap_or_else(|| panic!("{cut} bytes are enough"));
        assert!(matches!(error.kind(), Kind::Label(_)), "{error:?}");
    }
    std::fs::write(&path, [&b"SQLite format 3\0"[..], &[7; 9000]].concat()).unwrap();
    assert!(matches!(kind(&path).kind(), Kind::Label(_)));
}
