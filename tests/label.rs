//! Labelling: a project's file, and the page's questions over loopback.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use cloze::error::{Kind, LabelError};
use cloze::label::{
    About, Doubt, Given, LabelChange, Labelling, Learned, Opinion, OrderRequest, Outcome, Pays, Placed,
    Project, agreement, export, export_tasks, in_doubt, order, out_of_fold,
};
use cloze::predict::selection::{Pool, PoolRequest, Strategy};
use cloze::serve::listen;
use cloze::text::data::{Columns, Example, Format, Reading, Rows};
use cloze::{MaskedLm, Options, PromptClassifier, Template, Verbalizer};
use serde_json::{Value, json};

use crate::support::TINY;

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
        export_tasks(&project, &tasks, all, None).unwrap();
        let again: Vec<Example> = Reading::default().open(&tasks).unwrap().map(Result::unwrap).collect();
        let labels: Vec<Option<&str>> = again.iter().map(|row| row.label.as_deref()).collect();
        assert_eq!((labels.len(), &labels[..3]), (wanted, &[Some("up"), None, None][..]));
        assert_eq!((labels[wanted - 1], &again[wanted - 1].fields[..2]), (Some("down"), &last[..]));
    }
    // With what a model says of each, the same as it says of the text alone.
    let model = MaskedLm::load(TINY, Options::default()).unwrap();
    let classifier = PromptClassifier::builder(model)
        .template(Template::from_pattern("{text} It was {mask}.").unwrap())
        .verbalizer(Verbalizer::of(&[("down", &["bad"]), ("up", &["good"])]).unwrap())
        .build()
        .unwrap();
    let texts: Vec<&str> = rows.iter().map(|row| row.example.fields[0].as_str()).collect();
    let wanted: Vec<(String, f64)> = (classifier.classify(&texts).unwrap().iter())
        .map(|answer| (classifier.label(answer).to_owned(), answer.prediction.confidence()))
        .collect();
    let columns = Columns::check("rows", ["text", "id"].map(str::to_owned).to_vec(), None).unwrap();
    let opinion = Opinion { classifier, columns: Arc::new(columns) };
    export_tasks(&project, &tasks, true, Some(&opinion)).unwrap();
    let written: Value = serde_json::from_str(&std::fs::read_to_string(&tasks).unwrap()).unwrap();
    for (task, (label, share)) in written.as_array().unwrap().iter().zip(&wanted) {
        let said = &task["predictions"][0];
        assert_eq!(&said["result"][0]["value"]["choices"], &json!([label]));
        assert!((said["score"].as_f64().unwrap() - share).abs() < 1e-6);
    }
    assert_eq!(written[0]["annotations"].as_array().unwrap().len(), 3);
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

#[test]
fn a_project_that_was_not_made_to_its_end_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("project");
    // As a full disk leaves it, or a kill: pages are in the file, and the journal takes them back.
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection
        .execute_batch("PRAGMA cache_size = 2; BEGIN EXCLUSIVE; CREATE TABLE rows (fields TEXT);")
        .unwrap();
    for _ in 0..100 {
        connection.execute("INSERT INTO rows VALUES (?1)", ["x".repeat(4000)]).unwrap();
    }
    let copy = folder.path().join("killed");
    for end in ["", "-journal"] {
        let from = format!("{}{end}", path.display());
        std::fs::copy(from, format!("{}{end}", copy.display())).unwrap();
    }
    drop(connection);
    assert!(std::fs::metadata(&copy).unwrap().len() > 0);
    assert!(!Project::is_there(&copy));
    let mut project = Project::create(&copy, &about(), &placed(10, 0.1)).unwrap();
    project.answer(&given(0, "anna", Some("up"))).unwrap();
    assert!(Project::is_there(&copy));
}

fn learned(tested: &[(u32, &str)], doubts: &[(u32, f64)], next: &[u32]) -> Learned {
    let doubt = |&(place, share): &(u32, f64)| Doubt {
        place,
        label: "up".to_owned(),
        likelier: "down".to_owned(),
        share,
    };
    Learned {
        tested: tested.iter().map(|(place, label)| (*place, (*label).to_owned())).collect(),
        doubts: doubts.iter().map(doubt).collect(),
        next: next.to_vec(),
    }
}

#[test]
fn lessons_are_measured_by_the_labels_as_they_are_and_say_whose_turn_is_next() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("project");
    // Of each five rows the last is kept to test on: places 4, 9, 14 and 19.
    let mut project = Project::create(&path, &about(), &placed(20, 0.2)).unwrap();
    for place in [0, 1, 2, 3, 4, 9, 14] {
        project.answer(&given(place, "anna", Some("up"))).unwrap();
    }
    assert_eq!(project.to_learn_from().unwrap(), 4);
    assert_eq!(project.settled(true).unwrap().into_keys().collect::<Vec<_>>(), [4, 9, 14]);
    let waiting: Vec<u32> = project.unanswered(4).unwrap().iter().map(|row| row.place).collect();
    assert_eq!(waiting, [5, 6, 7, 8]);

    let first = project.begin_lesson(4, "project.learned/1").unwrap();
    assert_eq!(project.lessons().unwrap()[0].seconds, None);
    let brought = learned(&[(4, "up"), (9, "down"), (14, "up")], &[(1, 0.3), (3, 0.1)], &[8, 6, 5, 7]);
    project.end_lesson(first, Ok(&brought)).unwrap();
    let lesson = &project.lessons().unwrap()[0];
    assert_eq!((lesson.labels, lesson.tested, lesson.accuracy), (4, 3, Some(2.0 / 3.0)));
    // A row to test on that gets another label counts by it.
    project.answer(&Given { instead: true, ..given(9, "anna", Some("down")) }).unwrap();
    assert_eq!(project.lessons().unwrap()[0].accuracy, Some(1.0));
    // Rows to test on keep their turn.
    let turns = |project: &mut Project| -> Vec<u32> {
        let mut turns = Vec::new();
        while let Some(row) = project.next("ben").unwrap() {
            turns.push(row.place);
            project.answer(&given(row.place, "ben", None)).unwrap();
        }
        while project.undo("ben").unwrap().is_some() {}
        turns
    };
    assert_eq!(turns(&mut project)[..11], [0, 1, 2, 3, 4, 8, 6, 5, 7, 9, 10]);
    // The most doubtful first; a label that somebody gave again is doubted no more, whatever comes.
    assert_eq!(project.doubts().unwrap().iter().map(|doubt| doubt.place).collect::<Vec<_>>(), [3, 1]);
    project.answer(&Given { instead: true, ..given(3, "anna", Some("up")) }).unwrap();
    let second = project.begin_lesson(6, "project.learned/2").unwrap();
    project.end_lesson(second, Ok(&learned(&[(4, "up")], &[(1, 0.2), (2, 0.25), (3, 0.1)], &[]))).unwrap();
    assert_eq!(project.doubts().unwrap().iter().map(|doubt| doubt.place).collect::<Vec<_>>(), [1, 2]);
    // One that failed says why, and changes nothing.
    let third = project.begin_lesson(8, "project.learned/3").unwrap();
    project.end_lesson(third, Err("no memory")).unwrap();
    let lessons = Project::open(&path).unwrap().lessons().unwrap();
    assert_eq!(
        (lessons.len(), lessons[2].trouble.as_deref(), lessons[2].accuracy),
        (3, Some("no memory"), None)
    );
    assert_eq!(project.results().unwrap().1, None);
}

#[test]
fn whether_more_labels_pay_is_said_of_the_rows_that_both_lessons_answered() {
    let folder = tempfile::tempdir().unwrap();
    // Every second row is kept to test on.
    let rows = placed(400, 0.5);
    let mut project = Project::create(&folder.path().join("project"), &about(), &rows).unwrap();
    let tests: Vec<u32> = (0..400_u32).filter(|place| rows[*place as usize].held_out).collect();
    for place in tests.iter().chain(&[0, 2]) {
        project.answer(&given(*place, "anna", Some("up"))).unwrap();
    }
    let mut lesson = |labels: u64, right: usize| {
        let id = project.begin_lesson(labels, "x").unwrap();
        let said: Vec<(u32, &str)> = tests
            .iter()
            .enumerate()
            .map(|(at, place)| (*place, if at < right { "up" } else { "down" }))
            .collect();
        project.end_lesson(id, Ok(&learned(&said, &[], &[]))).unwrap();
        project.results().unwrap().1
    };
    assert_eq!(lesson(10, 100), None);
    assert_eq!(lesson(20, 120), None);
    let gain = lesson(30, 150).unwrap();
    assert_eq!((gain.labels, gain.rows, gain.says), ([10, 30], 200, Pays::Yes));
    assert!((gain.difference - 0.25).abs() < 1e-12 && gain.difference_95[0] > 0.0);
    // 30 rows more in 200 are still a gain; then hardly any, but for what 200 rows cannot tell.
    assert_eq!(lesson(40, 150).unwrap().says, Pays::Yes);
    let gain = lesson(50, 150).unwrap();
    assert_eq!(gain.says, if gain.difference_95[1] < 0.02 { Pays::Hardly } else { Pays::Unknown });
    assert_eq!(lesson(60, 100).unwrap().says, Pays::Hardly);
}

#[test]
fn a_project_of_the_first_version_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("project");
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(include_str!("fixtures/label/version-1.sql")).unwrap();
    drop(old);
    let mut project = Project::open(&path).unwrap();
    assert_eq!(project.next("anna").unwrap().unwrap().fields, ["second", "2"]);
    assert_eq!(project.to_learn_from().unwrap(), 1);
    let lesson = project.begin_lesson(1, "x").unwrap();
    project.end_lesson(lesson, Ok(&learned(&[], &[], &[2, 1]))).unwrap();
    assert_eq!(Project::open(&path).unwrap().next("anna").unwrap().unwrap().fields, ["third", "3"]);
}

/// `cloze label` on a free port, with where it answers.
fn label(folder: &Path, more: &[&str]) -> (Killed, SocketAddr) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_cloze"))
        .args(["label", "rows.csv", "--port", "0", "--labeller", "anna"])
        .args(more)
        .current_dir(folder)
        .env("CLOZE_MODEL", Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiny"))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    let address = said.find_map(|line| {
        let line = line.unwrap();
        let digits: String =
            line.split("http://localhost:").nth(1)?.chars().take_while(char::is_ascii_digit).collect();
        let port = digits.parse().unwrap();
        Some(SocketAddr::from(([127, 0, 0, 1], port)))
    });
    // Whatever it says later has a reader.
    thread::spawn(move || said.for_each(drop));
    (Killed(child), address.unwrap())
}

/// A program that is killed at the end of a test, however it ends.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Waits until so many lessons have ended, and gives what is learned.
fn lessons(address: SocketAddr, wanted: usize) -> Value {
    for _ in 0..600 {
        let (_, found) = post(address, "/learned", "localhost", "{}");
        let ended = found["lessons"].as_array().unwrap().iter().filter(|lesson| lesson["seconds"].is_u64());
        if ended.count() >= wanted {
            return found;
        }
        thread::sleep(Duration::from_millis(200));
    }
    panic!("nothing was learned in two minutes");
}

#[test]
fn a_model_learns_from_labels_beside_the_labelling() {
    let folder = tempfile::tempdir().unwrap();
    let texts = (0..60).map(|row| match row % 2 {
        0 => format!("a good film {row}\n"),
        _ => format!("a bad story {row}\n"),
    });
    std::fs::write(folder.path().join("rows.csv"), format!("text\n{}", texts.collect::<String>())).unwrap();
    let flags = ["--labels", "good, bad", "--learn-every", "8", "--random-share", "0.25"];
    let (child, address) = label(folder.path(), &flags);
    let answer = |address, count: usize| {
        for _ in 0..count {
            let (_, state) = post(address, "/state", "localhost", "{}");
            let text = state["row"]["fields"][0].as_str().unwrap();
            let label = if text.contains("good") { "good" } else { "bad" };
            let body = json!({ "labeller": "anna", "place": state["row"]["place"], "label": label });
            assert_eq!(post(address, "/answer", "localhost", &body.to_string()).0, 200);
        }
    };
    let (_, before) = post(address, "/learned", "localhost", "{}");
    assert_eq!((&before["every"], &before["next_at"], &before["labels"]), (&json!(8), &json!(8), &json!(0)));
    answer(address, 12);
    let found = lessons(address, 1);
    let lesson = &found["lessons"][0];
    assert_eq!(lesson["trouble"], Value::Null, "{found}");
    assert!(lesson["labels"].as_u64().unwrap() >= 8 && lesson["tested"].as_u64().unwrap() >= 2, "{found}");
    // Killed as it learns again, it goes on by itself.
    answer(address, 12);
    while post(address, "/learned", "localhost", "{}").1["lessons"].as_array().unwrap().len() < 2 {
        thread::sleep(Duration::from_millis(20));
    }
    drop(child);
    // Its training may still be at work.
    let (_child, address) = label(folder.path(), &["--labels", "good, bad", "--learn-every", "8"]);
    let found = lessons(address, 2);
    assert_eq!(found["lessons"][1]["trouble"], Value::Null, "{found}");
    let run = folder.path().join("rows.csv.labels.sqlite.learned/2/run");
    assert!(cloze::study::run::Run::open(&run).is_ok());
    assert_eq!(post(address, "/opinion", "localhost", r#"{"place": 0}"#).0, 200);
}

#[test]
fn a_label_that_its_neighbours_deny_is_in_doubt() {
    // Two clouds on two axes; one row of the second has the label of the first.
    let vector = |row: usize| match row % 2 {
        0 => vec![1.0, 0.01 * row as f32],
        _ => vec![0.01 * row as f32, 1.0],
    };
    let vectors: Vec<Vec<f32>> = (0..40).map(vector).collect();
    let mut classes: Vec<usize> = (0..40).map(|row| row % 2).collect();
    classes[7] = 0;
    let found = in_doubt(&out_of_fold(&vectors, &classes, 3, 0), &classes);
    assert_eq!((found.len(), found[0].row, found[0].likelier), (1, 7, 1));
    assert!(found[0].share < 0.5);
}

#[test]
fn labels_are_changed_with_what_was_said_by_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("project");
    let mut project = Project::create(&path, &about(), &placed(6, 0.0)).unwrap();
    for (place, label) in [(0, Some("up")), (1, Some("down")), (2, Some("up")), (3, None)] {
        project.answer(&Given { note: "so".to_owned(), ..given(place, "anna", label) }).unwrap();
    }
    let lesson = project.begin_lesson(3, "x").unwrap();
    project.end_lesson(lesson, Ok(&learned(&[(4, "up"), (5, "down")], &[(0, 0.1)], &[]))).unwrap();
    let labels = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<String>>();
    let change =
        |from: &str, to: Option<&str>| LabelChange { from: from.to_owned(), to: to.map(str::to_owned) };
    // A label that stands does not go without a word; what is no label changes nothing.
    for (names, changes) in [
        (labels(&["up", "aside"]), vec![]),
        (labels(&["up", "aside"]), vec![change("down", Some("sideways"))]),
        (labels(&["up", "aside"]), vec![change("sideways", None)]),
        (labels(&["up", "aside"]), vec![change("down", None), change("down", Some("up"))]),
    ] {
        let error = project.change_labels(&names, &changes).unwrap_err();
        assert!(matches!(
            error.kind(),
            Kind::Label(
                LabelError::LabelStands { .. }
                    | LabelError::UnknownLabel { .. }
                    | LabelError::ChangedTwice { .. }
            )
        ));
        assert_eq!(project.about().labels, ["down", "up"]);
    }
    // The two change places, and there is one more.
    let changes = [change("up", Some("down")), change("down", Some("up"))];
    let changed = project.change_labels(&labels(&["down", "up", "aside"]), &changes).unwrap();
    assert_eq!((changed.renamed, changed.taken_back), (3, 0));
    let said =
        |project: &Project| -> Vec<(u32, String)> { project.settled(false).unwrap().into_iter().collect() };
    let wanted = [(0, "down"), (1, "up"), (2, "down")].map(|(place, label)| (place, label.to_owned()));
    assert_eq!(said(&project), wanted);
    assert_eq!(project.answers().unwrap()[&0][0].note, "so");
    assert_eq!(project.doubts().unwrap(), []);
    // Answers to a label that is gone are asked anew; the file says it too.
    let changed = project.change_labels(&labels(&["up", "aside"]), &[change("down", None)]).unwrap();
    assert_eq!((changed.renamed, changed.taken_back), (0, 2));
    let project = Project::open(&path).unwrap();
    assert_eq!(
        (said(&project), project.next("anna").unwrap().unwrap().place),
        (vec![(1, "up".to_owned())], 0)
    );
    assert_eq!(project.about().labels, ["up", "aside"]);
}
