//! Criterion benchmarks of the parts: tokenising, encoding, the forward pass by length and engine, reading
//! rows.
#![allow(missing_docs)] // criterion_group! makes a function without.

use std::hint::black_box;
use std::path::Path;

use cloze::model::dtype::Dtype;
use cloze::model::encoder::Mode;
use cloze::model::features::Features;
use cloze::model::folder::{EngineChoice, ModelFolder};
use cloze::predict::encode::encode;
use cloze::predict::label_words::LabelWords;
use cloze::predict::prompt_model::PromptModel;
use cloze::predict::pvp::Pvp;
use cloze::predict::task::Task;
use cloze::text::data::{Example, Reading, Rows};
use cloze::text::template::Template;
use cloze::text::verbalizer::Verbalizer;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tch::Device;

const MODEL: &str = "models/cloze-minilm-l6";
const DATA: &str = "data/reviews/test.csv";

fn rows() -> Rows {
    Reading::default().open(DATA.as_ref()).unwrap()
}

fn task() -> Task {
    let template = Template::from_pattern("{text|shorten} It was {mask}.").unwrap();
    Pvp::plain(template).unwrap().on(rows().columns()).unwrap()
}

fn words(bench: &mut Criterion) {
    let examples: Vec<Example> = rows().collect::<Result<_, _>>().unwrap();
    let tokenizer = ModelFolder::open(Path::new(MODEL)).unwrap().tokenizer;
    let task = task();
    let mut group = bench.benchmark_group("rows");
    group.throughput(Throughput::Elements(examples.len() as u64));
    group.bench_function("read", |bench| {
        bench.iter(|| rows().map(|row| row.unwrap().fields.len()).sum::<usize>())
    });
    group.bench_function("wrap and encode", |bench| {
        bench.iter(|| {
            examples
                .iter()
                .map(|example| encode(&task.wrap(example), &tokenizer, 512).unwrap().ids.len())
                .sum::<usize>()
        });
    });
    group.finish();
}

/// A batch of 1024 tokens, as by default, at several lengths and on both engines; throughput in tokens.
fn forward(bench: &mut Criterion) {
    let mut group = bench.benchmark_group("forward");
    group.sample_size(10);
    group.throughput(Throughput::Elements(1024));
    for (name, engine) in [("cloze", EngineChoice::Cloze), ("rust-bert", EngineChoice::RustBert)] {
        let mut model =
            PromptModel::load(ModelFolder::open(Path::new(MODEL)).unwrap(), engine, Device::Cpu).unwrap();
        model.prepare(Dtype::F32).unwrap();
        let verbalizer = Verbalizer::read(Path::new("verbalizers/sentiment.json")).unwrap();
        let words = LabelWords::check(&verbalizer, model.tokenizer(), Device::Cpu).unwrap();
        for length in [16, 32, 64, 128, 256, 512] {
            let inputs: Vec<Features> = (0..1024 / length).map(|_| features(length)).collect();
            let batch: Vec<&Features> = inputs.iter().collect();
            group.bench_with_input(BenchmarkId::new(name, length), &batch, |bench, batch| {
                bench.iter(|| {
                    tch::no_grad(|| {
                        black_box(model.class_scores(batch, &words, Mode::Score).double_value(&[0, 0]))
                    })
                });
            });
        }
    }
    group.finish();
}

fn features(length: usize) -> Features {
    Features {
        ids: (1000..).take(length).collect(),
        second_segment: length,
        mask: length - 2,
        masks: 1,
        is_bare: false,
        priors: 0,
        removed: 0,
        left_out: 0,
        windows: 1,
        soft: Vec::new(),
    }
}

criterion_group!(parts, words, forward);
criterion_main!(parts);
