//! The layers of `metrics-core`: a file uses only its own layer and lower layers, except for [`UPWARD`], and imports do
//! not form cycles.
//!
//! The test parses the source. It follows each `use`, and each path that starts with `crate`, `super` or an imported
//! module, through re-exports to the file that defines the item. As an exception, a module file and the files in its
//! folder may use each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, ItemUse, Meta, UseTree, Visibility};

/// The layers from lowest to highest. A module may also use modules in its own layer.
const LAYERS: [&[&str]; 8] = [
    &[
        "alarm",
        "amount",
        "buckets",
        "cell",
        "clock",
        "error",
        "exemplars",
        "exposure",
        "internal",
        "kind",
        "label_text",
        "label_value",
        "labels",
        "lint",
        "lock",
        "logging",
        "per_process",
        "sample",
        "windows",
    ],
    &["metric", "counter", "gauge", "summary", "histogram", "state_set", "threads", "timer"],
    &["cache", "family", "info", "builder"],
    &["registry"],
    &["call", "encode", "monitor", "declare", "process", "testing"],
    &["export"],
    &["integrate"],
    &["__private", "guide"],
];

/// The only use of a higher layer: the elements of a linker section can be found only if their type is known.
const UPWARD: (&str, &str) = ("registry/declared/section", "call/site");

/// The path of a module or item, relative to its crate root.
type ModulePath = Vec<String>;

/// The modules declared in a crate's source.
#[derive(Default)]
struct Crate {
    files: BTreeMap<ModulePath, File>,
}

#[derive(Default)]
struct File {
    /// Paths that the file refers to, relative to the crate root.
    uses: BTreeSet<ModulePath>,
    /// Names that the file re-exports, and their paths.
    exports: BTreeMap<String, ModulePath>,
}

impl Crate {
    fn read(source: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(source);
        let mut sources = BTreeMap::new();
        collect(&root, &[], &mut sources);
        let mut of_tests = BTreeSet::new();
        let mut this = Self::default();
        let modules: BTreeSet<ModulePath> = sources.keys().cloned().collect();
        for (module, text) in &sources {
            let syntax = syn::parse_file(text).unwrap_or_else(|error| panic!("{module:?}: {error}"));
            let mut reader = Reader {
                module: module.clone(),
                modules: &modules,
                file: File::default(),
                imports: BTreeMap::new(),
                tests: &mut of_tests,
            };
            reader.visit_file(&syntax);
            let file = reader.file;
            this.files.insert(module.clone(), file);
        }
        this.files.retain(|module, _| !of_tests.contains(module));
        this
    }

    /// Returns the file that defines the item at `path`.
    fn defining(&self, path: &[String]) -> ModulePath {
        let mut at = 0;
        while at < path.len() && self.files.contains_key(&path[..=at]) {
            at += 1;
        }
        let module = &path[..at];
        match path.get(at).and_then(|name| self.files.get(module)?.exports.get(name)) {
            Some(target) if !target.starts_with(path) => {
                let target: ModulePath = target.iter().chain(&path[at + 1..]).cloned().collect();
                self.defining(&target)
            }
            _ => module.to_vec(),
        }
    }

    /// Returns the files that each file uses, except the file itself and its submodules.
    fn edges(&self) -> BTreeMap<ModulePath, BTreeSet<ModulePath>> {
        let used_by = |(module, file): (&ModulePath, &File)| {
            let used = file.uses.iter().map(|path| self.defining(path));
            (module.clone(), used.filter(|used| !used.starts_with(module)).collect())
        };
        self.files.iter().map(used_by).collect()
    }
}

/// Reads the text of each file below `dir` into `sources`, keyed by module.
fn collect(dir: &Path, outer: &[String], sources: &mut BTreeMap<ModulePath, String>) {
    for entry in fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("readable").path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("UTF-8").to_owned();
        let module: ModulePath = outer.iter().cloned().chain([name]).collect();
        if path.is_dir() {
            collect(&path, &module, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let module = if module == ["lib"] { Vec::new() } else { module };
            sources.insert(module, fs::read_to_string(&path).expect("readable"));
        }
    }
}

struct Reader<'a> {
    /// The module that is being read. Inside an inline module, this path is longer than the file's path.
    module: ModulePath,
    modules: &'a BTreeSet<ModulePath>,
    file: File,
    /// Names that the file imports, and their paths. A file's `use` declarations precede its other items.
    imports: BTreeMap<String, ModulePath>,
    /// Modules that exist only in tests.
    tests: &'a mut BTreeSet<ModulePath>,
}

impl Reader<'_> {
    /// Returns the path relative to the crate root, or `None` if the path leads outside the crate.
    fn absolute(&self, path: &[String]) -> Option<ModulePath> {
        let mut from = match path.first()?.as_str() {
            "crate" => Vec::new(),
            "self" | "super" => self.module.clone(),
            first => {
                let child: ModulePath = self.module.iter().cloned().chain([first.to_owned()]).collect();
                self.modules.contains(&child).then(|| self.module.clone())?
            }
        };
        let mut rest = path;
        while let Some((first, after)) = rest.split_first() {
            match first.as_str() {
                "crate" | "self" => {}
                "super" => drop(from.pop()?),
                _ => break,
            }
            rest = after;
        }
        from.extend(rest.iter().filter(|name| *name != "self" && *name != "*").cloned());
        Some(from)
    }

    fn add(&mut self, path: &[String]) {
        if let Some(path) = self.absolute(path) {
            self.file.uses.insert(path);
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes: &[Attribute] = match item {
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Mod(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            _ => &[],
        };
        if !attributes.iter().any(is_for_tests) {
            visit::visit_item(self, item);
        } else if let Item::Mod(module) = item {
            self.tests.insert(self.module.iter().cloned().chain([module.ident.to_string()]).collect());
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if item.content.is_some() {
            self.module.push(item.ident.to_string());
            visit::visit_item_mod(self, item);
            self.module.pop();
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let mut named = Vec::new();
        flatten(&item.tree, &mut Vec::new(), &mut named);
        for (name, path) in named {
            let Some(path) = self.absolute(&path) else { continue };
            self.imports.insert(name.clone(), path.clone());
            match item.vis {
                Visibility::Inherited => drop(self.file.uses.insert(path)),
                _ => drop(self.file.exports.insert(name, path)),
            }
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        match (names.first().and_then(|first| self.imports.get(first)), names.as_slice()) {
            (_, [first, ..]) if matches!(first.as_str(), "crate" | "super") => self.add(&names),
            (Some(module), [_, rest @ ..]) if !rest.is_empty() => {
                let path = module.iter().chain(rest).cloned().collect();
                self.file.uses.insert(path);
            }
            _ => {}
        }
        visit::visit_path(self, path);
    }

    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        // Ignore paths that start with `$crate`: they are used by the macro's caller.
        let text = mac.tokens.to_string().replace(" :: ", "::").replace("$ ", "$");
        let words = text.split(|c: char| !c.is_alphanumeric() && !['_', ':', '$'].contains(&c));
        for word in words.filter(|word| word.starts_with("crate::") || word.starts_with("super::")) {
            self.add(&word.split("::").map(str::to_owned).collect::<Vec<_>>());
        }
    }
}

fn is_for_tests(attribute: &Attribute) -> bool {
    let Meta::List(list) = &attribute.meta else { return false };
    list.path.is_ident("cfg") && list.tokens.to_string() == "test"
}

/// Collects each name that a `use` imports, with its path.
fn flatten(tree: &UseTree, path: &mut Vec<String>, named: &mut Vec<(String, Vec<String>)>) {
    let mut leaf = |ident: String, name: String| {
        let path = path.iter().cloned().chain([ident]).collect();
        named.push((name, path));
    };
    match tree {
        UseTree::Path(outer) => {
            path.push(outer.ident.to_string());
            flatten(&outer.tree, path, named);
            path.pop();
        }
        UseTree::Name(name) => leaf(name.ident.to_string(), name.ident.to_string()),
        UseTree::Rename(rename) => leaf(rename.ident.to_string(), rename.rename.to_string()),
        UseTree::Glob(_) => leaf("*".to_owned(), "*".to_owned()),
        UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(tree, path, named)),
    }
}

fn name(module: &[String]) -> String {
    if module.is_empty() { "lib".to_owned() } else { module.join("/") }
}

#[test]
fn no_file_uses_a_layer_above_it() {
    let layer = |module: &[String]| {
        let name = module.first()?;
        let layer = LAYERS.iter().position(|layer| layer.contains(&name.as_str()));
        Some(layer.unwrap_or_else(|| panic!("{name} has no layer")))
    };
    let edges = Crate::read("metrics-core/src").edges();
    let mut count = 0;
    for (module, used) in &edges {
        for used in used {
            count += 1;
            let is_upward = layer(module) < layer(used);
            let (module, used) = (name(module), name(used));
            assert!(
                !is_upward || (module.as_str(), used.as_str()) == UPWARD,
                "{module} uses {used}, which is above it"
            );
        }
    }
    assert!(count > 300, "{count} imports were read: are the files still there?");
}

#[test]
fn no_two_files_use_each_other() {
    for source in ["metrics-core/src", "metrics-macros/src"] {
        let mut edges = Crate::read(source).edges();
        assert!(edges.len() > 10, "{source}: {} files were read", edges.len());
        // Repeatedly remove files that use no remaining file, because such files cannot be part of a cycle.
        loop {
            let left = edges.len();
            let known: BTreeSet<ModulePath> = edges.keys().cloned().collect();
            edges.retain(|_, used| used.iter().any(|used| known.contains(used)));
            if edges.len() == left {
                break;
            }
        }
        let Some(mut module) = edges.keys().next() else { continue };
        let mut way = Vec::new();
        while !way.contains(module) {
            way.push(module.clone());
            module = edges[module].iter().find(|used| edges.contains_key(*used)).expect("it uses a remaining file");
        }
        let names: Vec<String> = way.iter().chain([module]).map(|module| name(module)).collect();
        panic!("{source}: files use each other: {}", names.join(" -> "));
    }
}

#[test]
fn adapters_use_what_their_module_docs_say() {
    let source = Crate::read("metrics-core/src");
    for (module, file) in source.files.iter().filter(|(module, _)| module.first().is_some_and(|top| top == "integrate"))
    {
        for path in &file.uses {
            // The crate root re-exports only public types.
            let is_public = path[0].starts_with(|c: char| c.is_uppercase());
            let is_allowed = ["integrate", "internal", "label_text", "logging"].contains(&path[0].as_str())
                || path.starts_with(&["export".to_owned(), "http".to_owned()]);
            assert!(is_public || is_allowed, "{} uses {}", name(module), path.join("::"));
        }
    }
}
