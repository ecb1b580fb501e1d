//! What ships with cloze, wherever it was put: models, templates, verbalizers and data.

use std::path::{Component, Path, PathBuf};

use clap::builder::{PathBufValueParser, TypedValueParser};
use cloze::error::Errors;
use cloze::text::json_files;

/// The model that ships with cloze.
pub const MODEL: &str = "models/cloze-minilm-l6";
/// The folders that ship with cloze. Only what is named as being in one of them is looked for.
pub const FOLDERS: [&str; 4] = ["models", "templates", "verbalizers", "data"];
/// The variable that names a folder with them.
pub const HOME: &str = "CLOZE_HOME";

/// A place where such folders may be.
struct Place {
    /// Its name in messages.
    name: String,
    folders: Vec<PathBuf>,
}

/// The places in the order in which they are looked at. `make install` puts the folders into `share/cloze`
/// beside the program's own folder; what `cargo install` puts anywhere is the program alone, which remembers
/// its checkout.
fn places() -> Vec<Place> {
    let home = home();
    let program = std::env::current_exe().and_then(std::fs::canonicalize).unwrap_or_default();
    let above: Vec<PathBuf> = program.ancestors().skip(1).map(Path::to_owned).collect();
    let folder = above.first().map(|folder| folder.display().to_string()).unwrap_or_default();
    let mut places = vec![
        Place {
            name: match &home {
                Some(home) => format!("${HOME} ({})", home.display()),
                None => format!("${HOME} (not set)"),
            },
            folders: home.into_iter().collect(),
        },
        Place { name: "this folder".to_owned(), folders: vec![PathBuf::new()] },
        Place { name: format!("{folder} and the folders above it"), folders: above.clone() },
    ];
    let share = above.get(1).map(|prefix| prefix.join("share/cloze"));
    let user = dirs::data_dir().map(|data| data.join("cloze")).filter(|user| Some(user) != share.as_ref());
    let checkout =
        Some(PathBuf::from(env!("CARGO_MANIFEST_DIR"))).filter(|checkout| !above.contains(checkout));
    let alone = |folder: PathBuf| Place { name: folder.display().to_string(), folders: vec![folder] };
    places.extend([share, user, checkout].into_iter().flatten().map(alone));
    places
}

/// The folder that the variable names.
pub fn home() -> Option<PathBuf> {
    std::env::var_os(HOME).filter(|home| !home.is_empty()).map(PathBuf::from)
}

/// The places as messages name them.
pub fn places_by_name() -> Vec<String> {
    places().into_iter().map(|place| place.name).collect()
}

/// Whether a path is named as what ships is: `templates/…` and the like.
pub fn is_looked_for(path: &Path) -> bool {
    match path.components().next() {
        Some(Component::Normal(first)) => FOLDERS.iter().any(|folder| first == *folder),
        _ => false,
    }
}

/// Where a path is that is read: here, if it is here; else where what ships was put. A path that is nowhere
/// stays as it is.
pub fn found(path: PathBuf) -> PathBuf {
    if is_there(&path) { path } else { first(&path).unwrap_or(path) }
}

/// The first of the places that has a path; the usual model, which nobody named, is looked for so.
pub fn first(path: &Path) -> Option<PathBuf> {
    if is_looked_for(path) { in_places(path) } else { None }
}

/// A page of the guide.
pub fn page(name: &str) -> Option<PathBuf> {
    in_places(&Path::new("docs").join(name))
}

fn in_places(path: &Path) -> Option<PathBuf> {
    let mut paths = places().into_iter().flat_map(|place| place.folders).map(|folder| folder.join(path));
    paths.find(|path| is_there(path))
}

/// A pattern of names is there where something has such a name.
fn is_there(path: &Path) -> bool {
    let mut problems = Errors::new();
    path.exists()
        || (path.to_string_lossy().contains(['*', '?', '['])
            && !json_files::files(&[path], &mut problems).is_empty())
}

/// Flags that name files to read, or folders.
pub fn path() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().map(found)
}
