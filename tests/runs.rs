//! Runs as they lie in a folder: those of 0.1.0 are read, damaged and edited ones are refused, and one of
//! another kind is told by its kind.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cloze::error::{Kind, RunError};
use cloze::learn::run::{Manifest, RunFolder, RunKind};
use cloze::model::tensor_file;
use cloze::study::ensemble::EnsembleFolder;
use cloze::study::multi_task;
use cloze::study::run::{Contents, Run};

use serde_json::{Value, json};

use crate::support::TINY;

/// Runs that 0.1.0 made, the rows that they were made of, and what its `score` printed.
const FIRST: &str = "tests/fixtures/runs-0.1.0";

fn cloze(arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cloze"))
        .args(arguments.split(' '))
        .env("CLOZE_MODEL", TINY)
        .env("NO_COLOR", "1")
        .env("OMP_NUM_THREADS", "1")
        .output()
        .unwrap()
}

/// What a command prints that must succeed.
fn printed(arguments: &str) -> String {
    let output = cloze(arguments);
    assert!(output.status.success(), "cloze {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What a command says that must be refused.
fn refused(arguments: &str) -> String {
    let output = cloze(arguments);
    assert_eq!(output.status.code(), Some(1), "cloze {arguments}");
    String::from_utf8(output.stderr).unwrap()
}

/// Rows as `score` writes them are the same, to the last digit but one.
fn assert_same_rows(found: &str, wanted: &Path) {
    let wanted = fs::read_to_string(wanted).unwrap();
    let fields = |text: &str| -> Vec<String> { text.split([',', '\n']).map(str::to_owned).collect() };
    let (fields_found, fields_wanted) = (fields(found), fields(&wanted));
    assert_eq!(fields_found.len(), fields_wanted.len(), "{found}\n{wanted}");
    for (found_field, wanted_field) in fields_found.iter().zip(&fields_wanted) {
        let near = found_field
            .parse::<f64>()
            .ok()
            .zip(wanted_field.parse::<f64>().ok())
            .is_some_and(|(found, wanted)| (found - wanted).abs() < 2e-5);
        assert!(near || found_field == wanted_field, "{found}\n{wanted}");
    }
}

fn first(name: &str) -> PathBuf {
    Path::new(FIRST).join(name)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// Changes a bit of a file's last byte, which is in a tensor's numbers.
fn flip_a_bit(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    *bytes.last_mut().unwrap() ^= 0b100;
    fs::write(path, bytes).unwrap();
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replace(from, to)).unwrap();
}

/// A finished run of each kind in a folder, as this version makes them: `train`, `tasks`, `ensemble`.
fn runs_of_now(folder: &Path) {
    let rows = format!(
        "-t {FIRST}/pattern.json -v {FIRST}/mood.json --train {FIRST}/train.csv --test {FIRST}/test.csv"
    );
    let usual = "--seeds 1 --steps 2 --method lora --rank 2 --threads 1 -q";
    let out = folder.display();
    printed(&format!("train {rows} {usual} --out {out}/train"));
    printed(&format!("train --tasks {FIRST}/tasks.json {usual} --out {out}/tasks"));
    printed(&format!(
        "ensemble {rows} --unlabeled {FIRST}/free.csv {usual} --student bias --student-steps 2 --keep-members --out {out}/ensemble"
    ));
}

/// A finished run of one seed; where its checkpoint lay.
fn run_with_checkpoints(path: &Path) -> PathBuf {
    printed(&format!(
        "train -t {FIRST}/pattern.json -v {FIRST}/mood.json --train {FIRST}/train.csv --seeds 1 --steps 20 \
         --checkpoint-every 5 --method lora --rank 2 --threads 1 -q --out {}",
        path.display()
    ));
    path.join("checkpoints/seed-1-run.safetensors")
}

#[test]
fn runs_of_the_first_version_score_as_they_did() {
    let score = |run: &str, more: &str| {
        printed(&format!("score --run {FIRST}/{run} -d {FIRST}/test.csv --threads 1 -q{more}"))
    };
    assert_same_rows(&score("train", ""), &first("train.scores.csv"));
    assert_same_rows(&score("ensemble", ""), &first("ensemble.scores.csv"));
    assert_same_rows(&score("ensemble", " --members"), &first("members.scores.csv"));
    assert_same_rows(&score("tasks", " --task mood"), &first("tasks.scores.csv"));
    assert_same_rows(&score("train", " --seed 2"), &first("train/predictions/seed-2.csv"));
}

#[test]
fn runs_of_the_first_version_are_of_their_kinds() {
    for (name, kind) in
        [("train", RunKind::Train), ("tasks", RunKind::Tasks), ("ensemble", RunKind::Ensemble)]
    {
        assert_eq!(Run::open(first(name)).unwrap().kind(), kind, "{name}");
    }
    let manifest = multi_task::Manifest::read(&first("tasks/manifest.json")).unwrap();
    assert_eq!(manifest.header.cloze, "0.1.0");
}

#[test]
fn a_run_that_the_first_version_left_stopped_goes_on_to_the_same_result() {
    let temporary = tempfile::tempdir().unwrap();
    let run = temporary.path().join("run");
    copy(&first("stopped"), &run);
    printed(&format!("train --resume --out {} -q", run.display()));
    let steps = fs::read_to_string(run.join("events.jsonl")).unwrap().lines().count();
    assert_eq!(steps, 40);
    assert_same_rows(
        &fs::read_to_string(run.join("predictions/seed-1.csv")).unwrap(),
        &first("stopped.scores.csv"),
    );
    // Its manifest stays as it was, and what was learned now is read.
    printed(&format!("score --run {} -d {FIRST}/test.csv -q", run.display()));
}

#[test]
fn runs_of_the_first_version_are_run_again_exported_and_reported() {
    let temporary = tempfile::tempdir().unwrap();
    let out = temporary.path().display();
    printed(&format!("train --from {FIRST}/train --out {out}/train -q"));
    let seed_two = |run: &Path| fs::read_to_string(run.join("predictions/seed-2.csv")).unwrap();
    assert_same_rows(&seed_two(&temporary.path().join("train")), &first("train/predictions/seed-2.csv"));
    printed(&format!("ensemble --experiment {FIRST}/ensemble/manifest.json --out {out}/ensemble -q"));
    let student = temporary.path().join("ensemble/predictions/student-seed-1.csv");
    assert_same_rows(
        &fs::read_to_string(student).unwrap(),
        &first("ensemble/predictions/student-seed-1.csv"),
    );
    printed(&format!("export --run {FIRST}/train --seed 1 --peft {out}/adapter"));
    printed(&format!("report {FIRST}/ensemble --out {out}/page.html -q"));
    // Run again, they are runs of now: in their manifests, and what they learned is bound to them.
    let manifest = fs::read_to_string(temporary.path().join("train/manifest.json")).unwrap();
    assert!(manifest.contains("\"version\": 2") && manifest.contains("\"kind\": \"train\""), "{manifest}");
}

#[test]
fn a_manifest_that_is_written_and_read_is_the_same() {
    let temporary = tempfile::tempdir().unwrap();
    for name in ["train", "tasks", "ensemble", "bf16"] {
        let path = temporary.path().join(name);
        match Run::open(first(&name.replace("bf16", "train"))).unwrap().contents {
            Contents::Train(_, mut manifest) => {
                manifest.plan.bf16 = name == "bf16";
                RunFolder::create(&path, &manifest.written()).unwrap();
                assert_eq!(RunFolder::open(&path).unwrap().1, *manifest);
            }
            Contents::Tasks(_, manifest) => {
                RunFolder::create(&path, &manifest.written()).unwrap();
                assert_eq!(multi_task::Manifest::read(&path.join("manifest.json")).unwrap(), *manifest);
            }
            Contents::Ensemble(_, mut manifest) => {
                // The first pattern is what a student reads that names none.
                manifest.student.as_mut().unwrap().template = Some("pattern".to_owned());
                EnsembleFolder::create(&path, &manifest).unwrap();
                assert_eq!(EnsembleFolder::open(&path).unwrap().1, *manifest);
            }
        }
    }
}

#[test]
fn a_damaged_checkpoint_is_never_used() {
    let temporary = tempfile::tempdir().unwrap();
    let run = temporary.path().join("run");
    let checkpoint = run_with_checkpoints(&run);
    let learned = fs::read(run.join("learned/seed-1.safetensors")).unwrap();
    assert!(!checkpoint.exists());
    fs::remove_file(run.join("metrics.json")).unwrap();
    fs::remove_file(run.join("learned/seed-1.safetensors")).unwrap();
    let whole = checkpoint_of(&run);
    let resume = format!("train --resume --out {} -q", run.display());
    let damaged = |bytes: &[u8], reason: &str| {
        fs::create_dir_all(checkpoint.parent().unwrap()).unwrap();
        fs::write(&checkpoint, bytes).unwrap();
        let said = refused(&resume);
        assert!(said.contains("checkpoints/seed-1-run.safetensors is damaged"), "{said}");
        assert!(said.contains(reason) && said.contains("delete it, and go on"), "{said}");
        assert_eq!(said.matches("error:").count(), 1, "{said}");
    };
    let header = 8 + usize::try_from(u64::from_le_bytes(*whole.first_chunk().unwrap())).unwrap();
    for at in [whole.len() - 1, whole.len() / 2, header, header - 40, 40] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        damaged(&bytes, "");
    }
    let mut bytes = whole.clone();
    *bytes.last_mut().unwrap() ^= 0b1000_0000;
    damaged(&bytes, "what it holds is not what was written");
    for length in [0, 4, 300, header, whole.len() - 1] {
        damaged(&whole[..length], "");
    }
    // One without a hash is as good as damaged.
    damaged(&fs::read(first("stopped/checkpoints/seed-1-run.safetensors")).unwrap(), "has no hash");
    // The whole one is gone on with, and so is the run without any.
    for found in [Some(&whole), None] {
        match found {
            Some(whole) => fs::write(&checkpoint, whole).unwrap(),
            None => {
                fs::remove_file(run.join("learned/seed-1.safetensors")).unwrap();
                fs::remove_file(run.join("metrics.json")).unwrap();
            }
        }
        printed(&resume);
        assert!(fs::read(run.join("learned/seed-1.safetensors")).unwrap() == learned, "{}", found.is_some());
    }
}

/// A checkpoint of a run, from the same run in another folder that is killed when it has one.
fn checkpoint_of(run: &Path) -> Vec<u8> {
    let killed = run.with_file_name("killed");
    let mut child = Command::new(env!("CARGO_BIN_EXE_cloze"))
        .args(["train", "--from", run.to_str().unwrap(), "--checkpoint-every", "1", "-q", "--out"])
        .arg(&killed)
        .env("CLOZE_MODEL", TINY)
        .env("OMP_NUM_THREADS", "1")
        .spawn()
        .unwrap();
    let checkpoint = killed.join("checkpoints/seed-1-run.safetensors");
    while !checkpoint.exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended without a checkpoint");
    }
    let bytes = fs::read(&checkpoint).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    bytes
}

#[test]
fn a_learned_file_whose_bits_changed_is_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    runs_of_now(folder);
    for (learned, more) in [
        ("train/learned/seed-1.safetensors", ""),
        ("tasks/learned/seed-1.safetensors", " --task mood"),
        ("ensemble/generation-0/seed-1/student.learned.safetensors", ""),
        ("ensemble/generation-0/seed-1/pattern+mood.learned.safetensors", " --members"),
    ] {
        let run = learned.split('/').next().unwrap();
        let score = format!("score --run {}/{run} -d {FIRST}/test.csv -q{more}", folder.display());
        printed(&score);
        flip_a_bit(&folder.join(learned));
        let said = refused(&score);
        assert!(said.contains(learned) && said.contains("what it holds is not what was written"), "{said}");
    }
    let said = refused(&format!("export --run {0}/train --peft {0}/adapter", folder.display()));
    assert!(said.contains("what it holds is not what was written"), "{said}");
}

#[test]
fn a_manifest_that_was_edited_does_not_stand_for_what_was_learned() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    runs_of_now(folder);
    for (run, more, from, to) in [
        ("train", "", "\"alpha\": 16.0", "\"alpha\": 8.0"),
        ("train", "", "It was", "They say"),
        ("train", "", "\\\"great\\\"", "\\\"new\\\""),
        ("train", "", "\"max_length\": 64", "\"max_length\": 63"),
        ("train", "", "\"label_column\": null", "\"label_column\": \"mood\""),
        ("ensemble", "", "\"sha256\": \"65b3998b", "\"sha256\": \"65b3998c"),
        ("tasks", " --task mood", "\"alpha\": 16.0", "\"alpha\": 8.0"),
        ("ensemble", " --members", "\"alpha\": 16.0", "\"alpha\": 8.0"),
    ] {
        let score = format!("score --run {}/{run} -d {FIRST}/test.csv -q{more}", folder.display());
        let manifest = folder.join(run).join("manifest.json");
        let whole = fs::read_to_string(&manifest).unwrap();
        edit(&manifest, from, to);
        let said = refused(&score);
        fs::write(&manifest, &whole).unwrap();
        assert!(said.contains("was made under another manifest"), "{run}, {to}: {said}");
    }
    // Nor does one with a byte order mark, which editors leave.
    let manifest = folder.join("train/manifest.json");
    let whole = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, format!("\u{feff}{}", whole.replace("It was", "They say"))).unwrap();
    let said = refused(&format!("score --run {}/train -d {FIRST}/test.csv -q", folder.display()));
    assert!(said.contains("was made under another manifest"), "{said}");
    fs::write(&manifest, format!("\u{feff}{whole}")).unwrap();
    printed(&format!("score --run {}/train -d {FIRST}/test.csv -q", folder.display()));
    fs::write(&manifest, &whole).unwrap();
    // What no answer depends on may be changed: where the model lies, how the text is laid out.
    let value: Value = serde_json::from_str(&fs::read_to_string(&manifest).unwrap()).unwrap();
    fs::write(&manifest, value.to_string().replace("16.0", "16")).unwrap();
    let whole = Path::new(TINY).canonicalize().unwrap().display().to_string();
    edit(&manifest, &whole, TINY);
    printed(&format!("score --run {}/train -d {FIRST}/test.csv -q", folder.display()));
}

#[test]
fn a_manifest_made_one_of_the_first_version_does_not_free_what_was_learned() {
    let temporary = tempfile::tempdir().unwrap();
    let run = temporary.path().join("run");
    copy(&first("train"), &run);
    let now = temporary.path().join("now");
    printed(&format!("train --from {FIRST}/train --out {} -q", now.display()));
    let learned = "learned/seed-1.safetensors";
    fs::copy(now.join(learned), run.join(learned)).unwrap();
    let said = refused(&format!("score --run {} -d {FIRST}/test.csv -q", run.display()));
    assert!(said.contains("was made under another manifest"), "{said}");
}

/// A run of 0.1.0 whose manifest says something else at a pointer.
fn edited(folder: &Path, name: &str, pointer: &str, value: Value) -> PathBuf {
    let run = folder.join(name);
    copy(&first(name), &run);
    let path = run.join("manifest.json");
    let mut manifest: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    *manifest.pointer_mut(pointer).unwrap() = value;
    fs::write(&path, serde_json::to_string_pretty(&manifest).unwrap()).unwrap();
    run
}

#[test]
fn what_a_manifest_cannot_say_is_refused_on_every_way_out_of_a_run() {
    let score = format!("score --run RUN -d {FIRST}/test.csv -q");
    let members = format!("{score} --members");
    let task = format!("{score} --task mood");
    let (peft, merged) = ("export --run RUN --seed 1 --peft NEW", "export --run RUN --seed 1 --merged NEW");
    let (from, again) =
        ("train --from RUN --out NEW -q", "ensemble --experiment RUN/manifest.json --out NEW -q");
    let rank = "lora.rank must be 1 to 65536, not -1\n  ┌─ RUN/manifest.json:";
    let length = "a maximum length of 100000 is outside of what the model takes\n  ┌─ RUN/manifest.json:";
    let misfit = "what was learned is not what bias learns on this model";
    let classes = "\"classes\" are not those of the verbalizer";
    let some = "must have one or more\n  ┌─ RUN/manifest.json:";
    let edits: [(&str, &str, Value, &[&str], &str); 14] = [
        ("train", "/tuning/lora/rank", json!(-1), &[&score, peft, merged, from], rank),
        ("tasks", "/tuning/lora/rank", json!(-1), &[&task], rank),
        ("train", "/max_length", json!(100_000), &[&score, peft, merged, from], length),
        ("tasks", "/max_length", json!(100_000), &[&task], length),
        ("ensemble", "/max_length", json!(2), &[&score], "a maximum length of 2 is outside"),
        ("ensemble", "/max_length", json!(100_000), &[&members, again], "a maximum length of 100000"),
        ("train", "/tuning", json!("bias"), &[&score, peft, merged], misfit),
        ("train", "/threads", json!(0), &[from, &score], "threads must be 1 to 256, not 0"),
        ("train", "/threads", json!(257), &[from, &score], "threads must be 1 to 256, not 257"),
        ("ensemble", "/run/classes", json!(["up"]), &[again, &score, &members], classes),
        ("ensemble", "/run/verbalizers", json!([]), &[again, &score, &members], some),
        ("ensemble", "/run/templates", json!([]), &[again, &score, &members], some),
        ("tasks", "/seeds", json!([]), &[&task], some),
        ("ensemble", "/run/data/0", json!(null), &[again], "\"data\" must have the hash of each file"),
    ];
    for (name, pointer, value, commands, wanted) in edits {
        let temporary = tempfile::tempdir().unwrap();
        let run = edited(temporary.path(), name, pointer, value);
        let new = temporary.path().join("new");
        for command in commands {
            let run = run.display().to_string();
            let said = refused(&command.replace("RUN", &run).replace("NEW", &new.display().to_string()));
            assert!(said.contains(&wanted.replace("RUN", &run)), "{name} {pointer}, {command}: {said}");
            assert!(!new.exists(), "{name} {pointer}, {command}");
        }
    }
}

#[test]
fn a_tensor_that_the_method_does_not_learn_is_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let run = temporary.path().join("train");
    copy(&first("train"), &run);
    let path = run.join("learned/seed-1.safetensors");
    let (mut tensors, texts) = tensor_file::read(&path).unwrap();
    tensors.insert("soft_tokens.extra".to_owned(), tensors.values().next().unwrap().shallow_clone());
    tensor_file::write(&path, &tensors, texts).unwrap();
    for command in ["score --run RUN -d DATA -q", "export --run RUN --seed 1 --peft RUN/new"] {
        let data = first("test.csv").display().to_string();
        let said = refused(&command.replace("RUN", &run.display().to_string()).replace("DATA", &data));
        assert!(said.contains("soft_tokens.extra has no place"), "{said}");
    }
}

#[test]
fn a_seed_that_was_not_run_is_told_by_the_seeds_that_were() {
    let temporary = tempfile::tempdir().unwrap();
    let run = edited(temporary.path(), "ensemble", "/seeds", json!([1, 2])).display().to_string();
    let score = format!("score --run {run} -d {FIRST}/test.csv -q --members");
    for more in ["", " --seed 2"] {
        let said = refused(&format!("{score}{more}"));
        assert!(said.contains("has no seed 2") && said.contains("= seeds: 1"), "{said}");
    }
    assert_same_rows(&printed(&format!("{score} --seed 1")), &first("members.scores.csv"));
}

#[test]
fn a_base_model_that_takes_less_than_the_run_is_refused_until_a_length_is_asked_for() {
    let temporary = tempfile::tempdir().unwrap();
    let run = edited(temporary.path(), "train", "/max_length", json!(100)).display().to_string();
    let score = format!("score --run {run} -d {FIRST}/test.csv -q");
    assert!(refused(&score).contains("allowed: 3 to 64 tokens"));
    assert_same_rows(&printed(&format!("{score} --max-length 64")), &first("train.scores.csv"));
}

#[test]
fn an_ensemble_run_again_on_another_base_records_that() {
    let temporary = tempfile::tempdir().unwrap();
    let (base, run) = (temporary.path().join("base"), temporary.path().join("run"));
    copy(Path::new(TINY), &base);
    // A number of a weight in the middle of the file: another, and still a number.
    let weights = base.join("model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    bytes[20_000] ^= 1;
    fs::write(&weights, bytes).unwrap();
    let again = format!(
        "ensemble --experiment {FIRST}/ensemble/manifest.json --model {} --out {} -q",
        base.display(),
        run.display()
    );
    assert!(refused(&again).contains("are not those that the run was trained on"));
    printed(&format!("{again} --allow-other-base"));
    // Its own base is no other one.
    printed(&format!("score --run {} -d {FIRST}/test.csv -q", run.display()));
    let said = refused(&format!("score --run {} -d {FIRST}/test.csv -q --model {TINY}", run.display()));
    assert!(said.contains("are not those that the run was trained on"), "{said}");
}

#[test]
fn an_experiment_in_the_place_of_a_manifest_is_no_run() {
    let temporary = tempfile::tempdir().unwrap();
    let run = temporary.path().join("ensemble");
    copy(&first("ensemble"), &run);
    let path = run.join("manifest.json");
    let mut manifest: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    manifest.as_object_mut().unwrap().remove("run");
    fs::write(&path, manifest.to_string()).unwrap();
    let said = refused(&format!("score --run {} -d {FIRST}/test.csv -q", run.display()));
    let wanted = format!("the manifest.json in {} is an experiment that was not run", run.display());
    assert!(said.contains(&wanted), "{said}");
}

#[test]
fn files_of_two_seeds_or_of_two_parts_cannot_change_places() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let swap = |one: &Path, other: &Path| {
        let bytes = [one, other].map(|path| fs::read(path).unwrap());
        fs::write(one, &bytes[1]).unwrap();
        fs::write(other, &bytes[0]).unwrap();
    };
    printed(&format!("train --from {FIRST}/train --out {}/train -q", folder.display()));
    let learned = |seed: u64| folder.join(format!("train/learned/seed-{seed}.safetensors"));
    swap(&learned(1), &learned(2));
    let said = refused(&format!("score --run {}/train -d {FIRST}/test.csv --seed 1 -q", folder.display()));
    assert!(said.contains("seed-1.safetensors holds what belongs in learned/seed-2.safetensors"), "{said}");
    // A member's is of one pattern, which a file of another pattern under its name would pass for.
    printed(&format!(
        "ensemble --experiment {FIRST}/ensemble/manifest.json --out {}/ensemble -q",
        folder.display()
    ));
    let of = |name: &str| folder.join(format!("ensemble/generation-0/seed-1/{name}.learned.safetensors"));
    swap(&of("pattern+mood"), &of("other+mood"));
    let said =
        refused(&format!("score --run {}/ensemble -d {FIRST}/test.csv --members -q", folder.display()));
    assert!(said.contains("made under another manifest"), "{said}");
    // Checkpoints: that of a fold is not that of the run, though the same tensors are in both.
    let run = folder.join("checkpoints");
    printed(&format!("train --from {FIRST}/train --out {} -q", run.display()));
    let (open, _) = RunFolder::open(&run).unwrap();
    let at = |part: &str| run.join(format!("checkpoints/seed-1-{part}.safetensors"));
    open.write_tensors(&at("fold-1"), &BTreeMap::new(), "a text".to_owned()).unwrap();
    fs::rename(at("fold-1"), at("run")).unwrap();
    let error = open.read_tensors(&at("run")).unwrap_err();
    let Kind::Run(RunError::OutOfPlace { place, .. }) = error.kind() else { panic!("{error}") };
    assert_eq!(place, "checkpoints/seed-1-fold-1.safetensors");
}

#[test]
fn a_run_of_another_kind_is_told_by_its_kind() {
    let temporary = tempfile::tempdir().unwrap();
    runs_of_now(temporary.path());
    let now = temporary.path().display().to_string();
    let makers =
        [("train", "cloze train"), ("tasks", "cloze train on several tasks"), ("ensemble", "cloze ensemble")];
    for folder in [FIRST, &now] {
        for (run, maker) in makers {
            let path = format!("{folder}/{run}");
            let mut commands = Vec::new();
            if run == "ensemble" {
                commands.push((format!("train --resume --out {path}"), "cloze train"));
                commands.push((format!("train --from {path} --out {now}/no"), "cloze train"));
                commands.push((format!("train --from {path}/manifest.json --out {now}/no"), "cloze train"));
            } else {
                commands.push((format!("ensemble --resume --out {path}"), "cloze ensemble"));
                let again = format!("ensemble --experiment {path}/manifest.json --out {now}/no");
                commands.push((again, "cloze ensemble"));
            }
            for (command, wanted) in commands {
                let said = refused(&command);
                assert_eq!(
                    said.lines().next(),
                    Some(format!("error: {path} is a run of {maker}, not of {wanted}").as_str()),
                    "{command}"
                );
                assert!(said.contains("= help: "), "{said}");
                assert!(!temporary.path().join("no").exists());
            }
        }
    }
    let error = Manifest::read(&first("ensemble/manifest.json")).unwrap_err();
    assert!(matches!(
        error.kind(),
        Kind::Run(RunError::OfOtherKind { found: "ensemble", wanted: "train", .. })
    ));
}
