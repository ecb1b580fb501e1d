//! `cloze score`: rows in, labels and probabilities out.

use std::cell::Cell;
use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::Result;
use cloze::error::{Error, Kind};
use cloze::learn::train::Flow;
use cloze::model::dtype::Dtype;
use cloze::model::encoder::load_kernels;
use cloze::predict::auto;
use cloze::predict::output::PredictionWriter;
use cloze::predict::report::{Prediction, Report, Run};
use cloze::predict::score::{Counts, Scored, Scorer, batch_tokens};
use cloze::predict::similarity::with_likeness;
use cloze::predict::task;
use cloze::study::ensemble::report::EnsembleReport;
use cloze::study::ensemble::{Ensemble, EnsembleFolder, Manifest};
use cloze::text::data::Example;
use cloze::text::whole_file::WholeFile;
use tch::Device;

use super::args::{DtypeName, EngineName, Score};
use super::calibration::{BETWEEN, Calibrator, Counted};
use super::demonstrations;
use super::render::{self, Progress};
use super::setup::{self, Ready, whereabouts};

/// Rows are read, sorted and scored in chunks of at most so many rows and so many bytes of text: enough to
/// sort well by length, little enough to hold in memory whatever the rows are.
const CHUNK_ROWS: usize = 2048;
const CHUNK_BYTES: usize = 8 << 20;

/// Rows that are scored together, with their true classes where they are known.
struct Chunk {
    examples: Vec<Example>,
    truths: Vec<Option<usize>>,
}

impl AsRef<[Example]> for Chunk {
    fn as_ref(&self) -> &[Example] {
        &self.examples
    }
}

/// Runs the command.
pub fn run(args: &Score) -> Result<()> {
    anyhow::ensure!(
        args.report.as_deref() != Some(Path::new("-")),
        "--report needs a file: standard output is for the rows"
    );
    if let Some(run) = args.trained.run.as_ref().filter(|run| setup::is_ensemble(run)) {
        let (_, manifest) = EnsembleFolder::open(run)?;
        if args.trained.members || manifest.student.is_none() {
            return members(args, run, manifest);
        }
    }
    let Ready { verbalizer, tasks, soft, learned, mut rows, folder, words, max_length, device } =
        match (&args.trained.run, &args.verbalizer) {
            (Some(run), _) => setup::ready_run(run, &args.trained, &args.data, &args.model)?,
            (None, Some(verbalizer)) => setup::ready(
                &args.template,
                verbalizer,
                args.trained.peft.as_deref(),
                &args.data,
                &args.model,
            )?,
            (None, None) => unreachable!("clap asks for one of them"),
        };
    let labels: Vec<String> = verbalizer.labels().map(str::to_owned).collect();
    let columns = rows.columns().clone();
    let (tasks, support) =
        demonstrations::with_support(tasks, &args.demonstrations, &args.data.reading, &verbalizer, &columns)?;
    if !args.quiet {
        render::warnings(&words.left_out().into_iter().collect::<Vec<_>>())?;
    }
    let forwards_per_row = demonstrations::forwards(&tasks, words.forwards());
    let mut calibrator = Calibrator::check(
        &args.calibration,
        &args.data.reading,
        (folder.path(), &learned),
        &verbalizer,
        &tasks,
        &columns,
    )?;
    // Opened before the work, so that a report that cannot be written costs no one an hour.
    let out = args.out.as_deref().filter(|path| *path != Path::new("-"));
    check_outputs(args, out)?;
    let report_file = args.report.as_deref().map(WholeFile::create).transpose()?;
    let calibration_file = args.calibration.calibration_out.as_deref().map(WholeFile::create).transpose()?;
    let out_file = out.map_or_else(|| Ok(WholeFile::stdout()), WholeFile::create)?;
    let dtype = args.dtype.dtype();
    let base = thread::scope(|scope| {
        if matches!(args.model.engine, EngineName::Cloze) {
            scope.spawn(|| load_kernels(dtype.unwrap_or_default()));
        }
        setup::load_base(folder, words, &args.model, device)
    })?;
    let classifiers =
        setup::classifiers(&base, &soft, &learned, args.trained.run.is_some().then_some(labels.len()))?;
    let folder = base.folder.clone();
    // Of what was learned, and of weights that were widened, nothing stays but what the classifiers hold.
    drop((base, learned));
    let (dtype, tried) = dtype
        .map_or_else(|| auto::fastest(&classifiers, auto::memory().as_deref()), |dtype| (dtype, Vec::new()));
    let classifiers = classifiers
        .into_iter()
        .map(|classifier| classifier.prepared(dtype))
        .collect::<Result<Vec<_>, Error>>()?;
    let budget = budget(args, device);
    let tasks = match &support {
        None => tasks,
        Some(support) => {
            let scorer = Scorer {
                classifiers: &classifiers,
                tokenizer: &folder.tokenizer,
                tasks: &[],
                max_length,
                batch_tokens: budget,
            };
            let tasks = demonstrations::worked(tasks, &scorer, &args.demonstrations, support)?;
            with_likeness(tasks, &classifiers[0], &columns, max_length)?
        }
    };
    let name = out.unwrap_or(Path::new("standard output"));
    let sets = calibrator.gives_sets().then_some(BETWEEN);
    let mut output =
        PredictionWriter::create(out_file, name, labels.clone(), sets, &columns, args.keep_columns)?;
    let scorer = Scorer {
        classifiers: &classifiers,
        tokenizer: &folder.tokenizer,
        tasks: &tasks,
        max_length,
        batch_tokens: budget,
    };

    let holding = calibrator.on_own_rows();
    if !holding {
        calibrator.fit(&scorer, &columns)?;
    }
    let mut counted = Counted::new(&calibrator, tasks.len());
    // Rows on the same terminal are progress enough.
    let rows_shown = out.is_none() && io::stdout().is_terminal();
    let mut progress = Progress::start(args.quiet || rows_shown, setup::input(&args.data.data).size());
    let read = Cell::new((0, 0));
    let mut next = || {
        let examples = read_chunk(&mut rows)?;
        read.set((read.get().0 + examples.len() as u64, rows.bytes_read()));
        let truths = examples
            .iter()
            .map(|example| task::truth(&verbalizer, &columns, example))
            .collect::<Result<Vec<_>, Error>>()?;
        Ok((!examples.is_empty()).then_some(Chunk { examples, truths }))
    };
    let mut answer = |calibrator: &Calibrator, chunk: Chunk, scored: Vec<Scored>| {
        for ((example, scored), truth) in chunk.examples.iter().zip(scored).zip(chunk.truths) {
            output.write(example, &counted.answer(calibrator, scored, truth))?;
        }
        output.flush()
    };
    let mut held = Vec::new();
    let mut each = |chunk: Chunk, scored: Vec<Scored>| match holding {
        true => {
            held.push((chunk, scored));
            Ok(())
        }
        false => answer(&calibrator, chunk, scored),
    };
    scorer.score_chunks(&columns, &mut next, &mut each, &mut |done| progress.advance(done, read.get()))?;
    if holding {
        let (chunks, scored): (Vec<Chunk>, Vec<Vec<Scored>>) = held.into_iter().unzip();
        let rows: Vec<Scored> = scored.concat();
        calibrator.fit_corrections(
            &scorer,
            &columns,
            chunks.iter().flat_map(|chunk| &chunk.examples),
            &[],
            &rows,
        )?;
        for (chunk, scored) in chunks.into_iter().zip(scored) {
            answer(&calibrator, chunk, scored)?;
        }
    }
    output.finish()?.commit()?;
    if let Some(file) = calibration_file {
        calibrator.fitted().write(file)?;
    }

    let run = Run {
        cloze: env!("CARGO_PKG_VERSION").to_owned(),
        data: columns.data().to_owned(),
        model: folder.path().display().to_string(),
        engine: args.model.engine.name().to_owned(),
        device: args.model.device.name().to_owned(),
        dtype,
        dtypes_tried: tried,
        threads: usize::try_from(tch::get_num_threads()).unwrap_or(1),
        verbalizer: verbalizer.file().to_owned(),
        aggregate: verbalizer.scoring(),
        forwards_per_row,
        labels,
        max_length,
        batch_tokens: scorer.batch_tokens,
    };
    let report = counted.report(&calibrator, run, &tasks, progress.finish());
    finish(args, report_file, &report)
}

/// The most tokens in a batch.
fn budget(args: &Score, device: Device) -> usize {
    args.batch_tokens.map_or_else(|| batch_tokens(device), |asked| asked as usize)
}

/// Writes the report where it was asked for, and shows it.
fn finish(args: &Score, report_file: Option<WholeFile>, report: &Report) -> Result<()> {
    if let (Some(mut file), Some(path)) = (report_file, &args.report) {
        serde_json::to_writer_pretty(&mut file, report)
            .map_err(io::Error::from)
            .and_then(|()| writeln!(file))
            .map_err(|error| Error::writing(path, &error))?;
        file.commit()?;
    }
    if !args.quiet {
        anstream::stderr().write_all(render::report(report).as_bytes())?;
    }
    Ok(())
}

/// Scores with the members of an ensemble. Each comes into memory in its turn, so it is the rows that stay
/// there.
fn members(args: &Score, run: &Path, manifest: Manifest) -> Result<()> {
    anyhow::ensure!(
        !args.calibration.any(),
        "members of an ensemble are calibrated where they are made: cloze ensemble --calibrate; leave the flags of calibration out"
    );
    anyhow::ensure!(
        args.demonstrations.demos.is_none(),
        "members of an ensemble show no demonstrations: leave --demos out"
    );
    anyhow::ensure!(
        args.dtype == DtypeName::F32,
        "members of an ensemble are scored in f32: leave --dtype out"
    );
    let (folder, _) = EnsembleFolder::open(run)?;
    let seeds = setup::chosen_seeds(run, &manifest.seeds, args.trained.seed)?;
    let report = EnsembleReport::of_run(run)?;
    let device = setup::device(args.model.device)?;
    if let Some(threads) = args.model.threads {
        tch::set_num_threads(i32::from(threads));
    }
    let reading = &args.data.reading;
    let manifest = Manifest {
        train: None,
        unlabeled: None,
        test: Some(args.data.data.clone()),
        format: reading.format.map(Into::into),
        label_column: reading.label_column.clone(),
        engine: args.model.engine.into(),
        max_length: args.model.limits.max_length.or(manifest.max_length),
        student: None,
        ..manifest
    };
    let Some(mut with) = manifest.run.clone() else {
        return Err(Error::from(Kind::RunUnfinished { path: run.to_owned() }).into());
    };
    if args.model.limits.model.is_some() {
        with.model.path = setup::open_model(&args.model.limits)?.path().to_owned();
    }
    setup::check_base(&with.model, &with.model.path, args.trained.allow_other_base)?;
    let out = args.out.as_deref().filter(|path| *path != Path::new("-"));
    check_outputs(args, out)?;
    let report_file = args.report.as_deref().map(WholeFile::create).transpose()?;
    let (ensemble, _) = super::ensemble::prepare(&manifest, &with, device, 1)?;
    // Trained members are those of the run, though nothing is trained here.
    let first_trained = report.stages.iter().any(|stage| stage.generation == Some(0));
    let ensemble = Ensemble { first_trained, batch_tokens: budget(args, device), ..ensemble };
    let Some(test) = &ensemble.test else { return Ok(()) };
    let out_file = out.map_or_else(|| Ok(WholeFile::stdout()), WholeFile::create)?;
    let started = std::time::Instant::now();
    let progress = Progress::start(args.quiet, None);
    let mut by_seed = Vec::with_capacity(seeds.len());
    for seed in seeds {
        let place = manifest.seeds.iter().position(|other| *other == seed).unwrap_or_default();
        let shares: Vec<f64> = report.patterns.iter().map(|pattern| pattern.weights[place]).collect();
        by_seed.push(ensemble.members_say(&folder, seed, &shares, &mut |_| Flow::On)?);
    }
    progress.finish();
    let labels = with.classes.clone();
    let name = out.unwrap_or(Path::new("standard output"));
    let mut output =
        PredictionWriter::create(out_file, name, labels.clone(), None, &test.columns, args.keep_columns)?;
    let mut counts = Counts::new(&labels, 0);
    for (row, (example, truth)) in test.examples.iter().zip(&test.truths).enumerate() {
        let said: Vec<Prediction> = by_seed.iter().map(|seed| seed[row].0.clone()).collect();
        let truncated = vec![by_seed.iter().any(|seed| seed[row].1)];
        let scored = Scored {
            by_pattern: Vec::new(),
            average: Prediction::average(&said),
            truncated,
            crowded: Vec::new(),
        };
        counts.add(&scored, *truth);
        output.write(example, &scored.average.into())?;
    }
    output.finish()?.commit()?;
    let run = Run {
        cloze: env!("CARGO_PKG_VERSION").to_owned(),
        data: test.columns.data().to_owned(),
        model: with.model.path.display().to_string(),
        engine: args.model.engine.name().to_owned(),
        device: args.model.device.name().to_owned(),
        dtype: Dtype::F32,
        dtypes_tried: Vec::new(),
        threads: usize::try_from(tch::get_num_threads()).unwrap_or(1),
        verbalizer: with.verbalizers.iter().map(|file| file.file.as_str()).collect::<Vec<_>>().join(", "),
        aggregate: manifest.merge.name().to_owned(),
        forwards_per_row: ensemble.bases.iter().map(|base| base.words.forwards()).max().unwrap_or(1),
        labels,
        max_length: ensemble.max_length,
        batch_tokens: ensemble.batch_tokens,
    };
    finish(args, report_file, &counts.report(run, &[], started.elapsed().as_secs_f64()))
}

/// Refuses to write over what is read, and to write rows and report to one file.
fn check_outputs(args: &Score, out: Option<&Path>) -> Result<(), Error> {
    let calibration = &args.calibration;
    let outputs = [
        ("rows", out),
        ("report", args.report.as_deref()),
        ("calibration", calibration.calibration_out.as_deref()),
    ];
    let fitted_on =
        calibration.calibrate_on.iter().chain(&calibration.conformal_on).chain(&calibration.calibration);
    let inputs = args
        .template
        .iter()
        .chain(&args.verbalizer)
        .chain([&args.data.data])
        .chain(fitted_on)
        .chain(&args.demonstrations.demos);
    setup::check_outputs(&outputs, &inputs.map(PathBuf::as_path).collect::<Vec<_>>())?;
    // Whatever lies in a run's or an adapter's folder is read, or is what they are.
    let folders = || {
        [&args.trained.run, &args.trained.peft]
            .into_iter()
            .flatten()
            .filter_map(|folder| whereabouts(folder).ok())
    };
    let inside =
        |path: &&Path| whereabouts(path).is_ok_and(|path| folders().any(|folder| path.starts_with(folder)));
    match outputs
        .iter()
        .filter_map(|(_, path)| *path)
        .filter(|path| path.is_file() || !path.exists())
        .find(inside)
    {
        Some(path) => Err(Kind::OutputIsInput { path: path.to_owned() }.into()),
        None => Ok(()),
    }
}

/// The next rows, up to a chunk.
fn read_chunk(rows: &mut impl Iterator<Item = Result<Example, Error>>) -> Result<Vec<Example>, Error> {
    let mut chunk = Vec::new();
    let mut bytes = 0;
    while chunk.len() < CHUNK_ROWS && bytes < CHUNK_BYTES {
        let Some(example) = rows.next().transpose()? else { break };
        bytes += example.fields.iter().map(String::len).sum::<usize>();
        chunk.push(example);
    }
    Ok(chunk)
}
