//! Models by name: `hub:NAME` fetches a Hugging Face folder into a cache, with rust-bert's own downloader.

use std::path::{Path, PathBuf};

use rust_bert::resources::{RemoteResource, ResourceProvider};

use crate::error::{Error, Kind, Result};

/// What a folder needs; of each line the first file that the hub has is enough.
const NEEDED: [&[&str]; 3] =
    [&["config.json"], &["vocab.txt", "tokenizer.json"], &["model.safetensors", "pytorch_model.bin"]];
/// What a folder may have besides.
const OPTIONAL: [&str; 2] = ["tokenizer_config.json", "special_tokens_map.json"];

/// The folder of a model: a path as it is, or `hub:NAME` fetched (once) into the user's cache.
pub fn folder(model: &str) -> Result<PathBuf> {
    match model.strip_prefix("hub:") {
        None => Ok(PathBuf::from(model)),
        Some(name) => fetch(name),
    }
}

fn fetch(name: &str) -> Result<PathBuf> {
    let unreachable = |reason: String| Error::new(Kind::HubUnreachable { name: name.to_owned(), reason });
    let plain = name.split('/').all(|part| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
            && !part.starts_with('.')
    });
    if !plain || name.split('/').count() > 2 {
        return Err(Kind::HubName { name: name.to_owned() }.into());
    }
    let mut folder = PathBuf::new();
    let mut take = |file: &str| -> Result<bool> {
        let Some(cached) = download(name, file).map_err(unreachable)? else { return Ok(false) };
        // The downloader keeps each file under a name of its own; all files of a model are linked into one
        // folder.
        folder = cached.parent().unwrap_or(Path::new(".")).join("folder");
        place(&cached, &folder.join(file)).map(|()| true)
    };
    for choices in NEEDED {
        let mut found = false;
        for file in choices {
            found = found || take(file)?;
        }
        if !found {
            return Err(unreachable(format!("it has no {}", choices.join(" or "))));
        }
    }
    for file in OPTIONAL {
        take(file)?;
    }
    Ok(folder)
}

/// One file of a model, or none where the hub has none of that name. Any other failure is one: a file that is
/// only not to be had just now must not count as absent, because the model would be read differently without
/// it.
fn download(name: &str, file: &str) -> Result<Option<PathBuf>, String> {
    let address = format!("https://huggingface.co/{name}/resolve/main/{file}");
    match RemoteResource::new(&address, &format!("cloze/{name}")).get_local_path() {
        Ok(path) => Ok(Some(path)),
        Err(error) => match error.to_string().trim_start_matches("Endpoint not available error: ") {
            missing if missing.contains("(404 Not Found)") => Ok(None),
            reason => Err(reason.to_owned()),
        },
    }
}

/// Links a cached file into the model's folder, or copies it where links across are not to be had.
fn place(cached: &Path, wanted: &Path) -> Result<()> {
    let writing = |error: std::io::Error| Error::writing(wanted, &error);
    std::fs::create_dir_all(wanted.parent().unwrap_or(Path::new("."))).map_err(writing)?;
    if wanted.exists() {
        std::fs::remove_file(wanted).map_err(writing)?;
    }
    std::fs::hard_link(cached, wanted).or_else(|_| std::fs::copy(cached, wanted).map(drop)).map_err(writing)
}
