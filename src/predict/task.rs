//! A pattern checked against a data set's columns, ready to wrap rows.

use crate::error::{Errors, Result, TemplateError};
use crate::model::folder::ModelFolder;
use crate::predict::label_words::LabelWords;
use crate::predict::pvp::{Patterns, Pvp, SoftVectors};
use crate::predict::report::PatternName;
use crate::text::data::{Columns, Example};
use crate::text::demonstrations::{Demonstration, Drawing, Similarity, Strategy, Support};
use crate::text::template::{Prompt, Template};
use crate::tune::soft::SoftTokens;

/// Patterns on the columns of a data set, with their soft tokens.
#[derive(Debug, Clone)]
pub struct TaskSet {
    /// The patterns.
    pub tasks: Vec<Task>,
    /// Their soft tokens.
    pub soft: SoftTokens,
    /// The longest input, in tokens.
    pub max_length: usize,
}

/// A pattern whose fields are known to be columns of the data.
#[derive(Debug, Clone)]
pub struct Task {
    pvp: Pvp,
    /// For each field of the pattern, the column's index; those of the steps' words come behind the data's
    /// columns.
    column_of: Vec<usize>,
    /// The same of each step.
    column_of_step: Vec<Vec<usize>>,
    /// The number of the data's columns.
    columns: usize,
    /// The rows that are shown, where the pattern shows any.
    support: Option<Support>,
}

impl Pvp {
    /// The pattern on a data set's columns. All problems at once.
    pub fn on(&self, columns: &Columns) -> Result<Task, Errors> {
        Task::check(self.clone(), columns)
    }
}

impl Patterns {
    /// The patterns on a data set's columns. All problems at once.
    pub fn on(&self, columns: &Columns) -> Result<TaskSet, Errors> {
        let mut errors = Errors::new();
        let tasks = self.on_fitting(columns, &mut errors);
        errors.none().map(|()| tasks)
    }

    /// Those of the patterns whose fields are columns; what is wrong with the others is put beside the
    /// errors.
    pub fn on_fitting(&self, columns: &Columns, errors: &mut Errors) -> TaskSet {
        let tasks = self.pvps.iter().filter_map(|pvp| errors.keep(pvp.on(columns))).collect();
        TaskSet { tasks, soft: self.soft.clone(), max_length: self.max_length }
    }

    /// Those of the templates that can be bound and whose fields are columns, for a training: steps have no
    /// loss of their own, so patterns with some are refused. What is wrong is put beside the errors.
    pub(crate) fn to_train(
        templates: Vec<Template>,
        words: &LabelWords,
        folder: &ModelFolder,
        vectors: SoftVectors<'_>,
        max_length: usize,
        columns: &Columns,
        errors: &mut Errors,
    ) -> TaskSet {
        let patterns = Patterns::bind_fitting(templates, Some(words), folder, vectors, max_length, errors);
        let templates = patterns.pvps.iter().map(Pvp::template);
        let stepping = templates.filter(|template| !template.steps().is_empty());
        errors.extend(
            stepping.map(|template| template.error(TemplateError::WithSteps { command: "training" })),
        );
        patterns.on_fitting(columns, errors)
    }
}

impl Task {
    fn check(pvp: Pvp, columns: &Columns) -> Result<Task, Errors> {
        let (column_of, column_of_step) = find_columns(pvp.template(), columns)?;
        Ok(Task { pvp, column_of, column_of_step, columns: columns.names().len(), support: None })
    }

    /// The same task with labelled rows to show, where its pattern shows any; `words` has what stands in the
    /// blank for each class. Their fields are in the order of the data's columns.
    #[must_use]
    pub fn with_support(mut self, rows: &[(Example, usize)], words: &[String], drawing: Drawing) -> Task {
        if self.template().demonstrations().is_some() {
            let show = |(example, class): &(Example, usize)| {
                let parts = self
                    .template()
                    .demonstrate(|field| field_of(example, self.column_of[field]), &words[*class]);
                Demonstration { example: example.clone(), text: self.text(example), class: *class, parts }
            };
            self.support = Some(Support::new(drawing, words.len(), rows.iter().map(show).collect()));
        }
        self
    }

    /// The same with what rows are like, where its demonstrations are chosen by that.
    pub fn with_similarity(mut self, similarity: &Similarity) -> Result<Task> {
        self.support = match self.support.take() {
            Some(support) if support.drawing().strategy == Strategy::Similar => {
                Some(support.with_similarity(similarity.clone())?)
            }
            support => support,
        };
        Ok(self)
    }

    /// How its demonstrations are drawn, if it has any.
    pub fn drawing(&self) -> Option<Drawing> {
        self.support.as_ref().map(Support::drawing)
    }

    /// The same with the demonstrations of an epoch of training, counted from 0.
    #[must_use]
    pub fn in_epoch(&self, epoch: usize) -> Task {
        Task { support: self.support.as_ref().map(|support| support.in_epoch(epoch)), ..self.clone() }
    }

    /// The pattern, and the rows that it shows: what a row's answer depends on besides the model.
    pub fn identity(&self) -> String {
        let steps = self
            .template()
            .steps()
            .iter()
            .map(|step| format!("{} {:?} ", step.template().pattern(), step.fill().words()));
        let pattern = steps.chain([self.template().pattern().to_owned()]).collect::<String>();
        self.support
            .as_ref()
            .map_or_else(|| pattern.clone(), |support| format!("{pattern} {}", support.identity()))
    }

    /// What the pattern is called in reports.
    pub fn name(&self) -> PatternName {
        let template = self.template();
        PatternName { template: template.name().to_owned(), pattern: template.pattern().to_owned() }
    }

    /// Whether no row is too long for it: all that it reads may be cut, and it shows nothing else.
    pub fn fits_every_row(&self) -> bool {
        let template = self.template();
        template.demonstrations().is_none()
            && template.steps().is_empty()
            && template.fields().all(|field| field.shorten)
    }

    /// The columns that the pattern reads, each once.
    pub fn columns(&self) -> Vec<String> {
        Template::columns_of_all([self.template()])
    }

    /// The places of the fields of a row that the pattern and its steps read, each once.
    pub fn places(&self) -> Vec<usize> {
        let all = self.column_of_step.iter().flatten().chain(&self.column_of);
        let mut places: Vec<usize> = all.copied().filter(|place| *place < self.columns).collect();
        places.sort_unstable();
        places.dedup();
        places
    }

    /// The place in a row of one of the pattern's fields; none where it is a step's word.
    pub fn place_of(&self, field: usize) -> Option<usize> {
        self.column_of.get(field).copied().filter(|place| *place < self.columns)
    }

    /// The row's words that the pattern reads.
    pub(crate) fn text(&self, example: &Example) -> String {
        let of_data = self.column_of.iter().filter(|column| **column < self.columns);
        of_data.map(|&column| example.fields[column].as_str()).collect::<Vec<_>>().join("\u{1f}")
    }

    /// The template.
    pub fn template(&self) -> &Template {
        self.pvp.template()
    }

    /// The pattern as the model has it.
    pub fn pvp(&self) -> &Pvp {
        &self.pvp
    }

    /// Rows in the pattern, each once for each draw of its demonstrations. A pattern that shows
    /// demonstrations and has no rows to show is refused.
    pub fn prompts<'a>(&'a self, examples: &'a [Example]) -> Result<Vec<Vec<Prompt<'a>>>> {
        let Some(count) = self.template().demonstrations() else {
            return Ok(examples.iter().map(|example| vec![self.wrap(example)]).collect());
        };
        let Some(support) = &self.support else {
            return Err(self.template().error(TemplateError::WithoutSupport));
        };
        let vectors = support.vectors_of(examples)?;
        let prompts = |(row, example): (usize, &'a Example)| {
            let vector = vectors.as_ref().map(|vectors| vectors[row].as_slice());
            let draws = support.draw(self.template().name(), count, &self.text(example), vector);
            draws.into_iter().map(|shown| self.wrap(example).with_demonstrations(shown)).collect()
        };
        Ok(examples.iter().enumerate().map(prompts).collect())
    }

    /// The row in the pattern, without demonstrations. The steps' words stand behind its fields; without them
    /// they are empty.
    pub fn wrap<'a>(&'a self, example: &'a Example) -> Prompt<'a> {
        self.pvp.wrap(|field| field_of(example, self.column_of[field]))
    }

    /// The row in the pattern of a step, the earlier steps' words behind its fields.
    pub fn wrap_step<'a>(&'a self, step: usize, example: &'a Example) -> Prompt<'a> {
        self.pvp.wrap_step(step, |field| field_of(example, self.column_of_step[step][field]))
    }
}

fn field_of(example: &Example, column: usize) -> &str {
    example.fields.get(column).map_or("", String::as_str)
}

/// Refuses a template of which a field is no column. All problems at once.
pub fn check_columns(template: &Template, columns: &Columns) -> Result<(), Errors> {
    find_columns(template, columns).map(drop)
}

/// Each field's column, and those of each step's fields; the steps' words come behind the data's columns.
fn find_columns(template: &Template, columns: &Columns) -> Result<(Vec<usize>, Vec<Vec<usize>>), Errors> {
    let mut errors = Errors::new();
    let mut names = columns.names().to_vec();
    let mut column_of_step = Vec::with_capacity(template.steps().len());
    for step in template.steps() {
        column_of_step.push(columns_of(step.template(), &names, columns, &mut errors));
        if names.iter().any(|name| name == step.name()) {
            let (name, data) = (step.name().to_owned(), columns.data().to_owned());
            errors.push(step.name_error(TemplateError::StepNameIsColumn { name, data }));
        }
        names.push(step.name().to_owned());
    }
    let column_of = columns_of(template, &names, columns, &mut errors);
    errors.none().map(|()| (column_of, column_of_step))
}

/// The index of each field of a pattern among some names, which begin with the data's columns.
fn columns_of(template: &Template, names: &[String], columns: &Columns, problems: &mut Errors) -> Vec<usize> {
    let mut column_of = Vec::new();
    for field in template.fields() {
        if columns.label() == Some(&field.column) {
            problems
                .push(template.field_error(field, TemplateError::UsesLabel { column: field.column.clone() }));
        }
        let is_the_text = columns.by_any_name() && Template::columns_of_all([template]).len() == 1;
        let place = names.iter().position(|name| *name == field.column);
        match place.or(is_the_text.then_some(0)) {
            Some(index) => column_of.push(index),
            None => {
                let (column, data) = (field.column.clone(), columns.data().to_owned());
                let mapped = columns.unmapped(&column);
                if let Some(error) = columns.no_text(mapped.unwrap_or(&column)) {
                    problems.push(template.field_error(field, error));
                    continue;
                }
                let kind = match mapped {
                    Some(mapped) => {
                        let (mapped, columns) = (mapped.to_owned(), columns.in_file().to_vec());
                        TemplateError::MappedToNothing { column, mapped, data, columns }
                    }
                    None => TemplateError::UnknownColumn { column, data, columns: names.to_vec() },
                };
                problems.push(template.field_error(field, kind));
            }
        }
    }
    column_of
}
