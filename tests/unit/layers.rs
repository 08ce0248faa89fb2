// SPDX-License-Identifier: GPL-2.0-or-later
//! The order of the layers: no module uses one above its own layer, and no two modules use each other, by any way round.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// From the bottom up. Layers in one row know nothing of each other.
const LAYERS: [&[&str]; 7] =
    [&["sys"], &["model"], &["policy"], &["hypervisor", "cluster"], &["host"], &["engine"], &["callers"]];

/// The files of code: what a module has for its tests alone is none.
pub(super) fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
}

/// The module that a file is: `["host", "look", "seek"]`.
fn module(root: &Path, file: &Path) -> Vec<String> {
    let path = file.strip_prefix(root).unwrap().with_extension("");
    let mut parts: Vec<String> = path.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if parts.last().is_some_and(|last| last == "mod" || (parts.len() == 1 && last == "main")) {
        parts.pop();
    }
    parts
}

/// The code of a file without comments and without its tests.
pub(super) fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let text = text.split("#[cfg(test)]").next().unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The paths that a `use` tree names: `a::{b, c::{d, e}}` names a::b, a::c::d and a::c::e.
fn expand(tree: &str, before: &[String], found: &mut Vec<Vec<String>>) {
    let tree = tree.trim();
    match tree.find('{') {
        Some(open) => {
            let mut path = before.to_vec();
            path.extend(tree[..open].split("::").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned));
            let inner = &tree[open + 1..tree.rfind('}').unwrap()];
            let (mut depth, mut start) = (0, 0);
            for (place, c) in inner.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        expand(&inner[start..place], &path, found);
                        start = place + 1;
                    }
                    _ => {}
                }
            }
            expand(&inner[start..], &path, found);
        }
        None if tree.is_empty() => {}
        None => {
            let mut path = before.to_vec();
            let tree = tree.split(" as ").next().unwrap();
            path.extend(tree.split("::").map(str::trim).filter(|part| *part != "self").map(str::to_owned));
            found.push(path);
        }
    }
}

/// Which modules use which: module -> modules, as paths from the crate's root.
fn graph(root: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut files = Vec::new();
    sources(root, &mut files);
    let modules: BTreeSet<Vec<String>> = files.iter().map(|file| module(root, file)).collect();
    let mut graph = BTreeMap::new();
    for file in &files {
        let own = module(root, file);
        let text = code(file);
        let mut paths: Vec<Vec<String>> = Vec::new();
        for (place, _) in text.match_indices("crate::") {
            let rest = &text[place + "crate::".len()..];
            let used = text[..place].trim_end().ends_with("use") || text[..place].trim_end().ends_with("use(");
            if used {
                expand(&rest[..rest.find(';').unwrap()], &[], &mut paths);
            } else {
                let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(rest.len());
                expand(&rest[..end], &[], &mut paths);
            }
        }
        for (place, _) in text.match_indices("super::") {
            let before = &text[..place];
            if before.ends_with("super::") || before.ends_with("(in ") {
                continue;
            }
            let mut rest = &text[place..];
            let mut parent = own.clone();
            while let Some(next) = rest.strip_prefix("super::") {
                parent.pop();
                rest = next;
            }
            if before.trim_end().ends_with("use") {
                expand(&rest[..rest.find(';').unwrap()], &parent, &mut paths);
            } else {
                let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(rest.len());
                expand(&rest[..end], &parent, &mut paths);
            }
        }
        let uses: &mut BTreeSet<String> = graph.entry(own.join("::")).or_default();
        for path in paths {
            // The longest part of the path that is a module; what a parent re-exports from its child is the child's.
            let longest = (1..=path.len()).rev().map(|n| path[..n].to_vec()).find(|part| modules.contains(part));
            if let Some(found) = longest
                && found != own
                && !own.starts_with(&found)
                && !found.starts_with(&own)
            {
                uses.insert(found.join("::"));
            }
        }
    }
    graph
}

fn layer(module: &str) -> usize {
    let top = module.split("::").next().unwrap();
    let place = LAYERS.iter().position(|row| row.contains(&top));
    place.unwrap_or_else(|| {
        if matches!(top, "main" | "lib" | "") { LAYERS.len() } else { panic!("{module} is in no layer") }
    })
}

#[test]
fn nothing_uses_a_layer_above_its_own() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for (module, uses) in graph(&root).iter().filter(|(module, _)| !module.starts_with("bin")) {
        let own = module.split("::").next().unwrap();
        for used in uses {
            let other = used.split("::").next().unwrap();
            if layer(used) > layer(module) || (layer(used) == layer(module) && own != other) {
                wrong.push(format!("{module} uses {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "against the order of layers:\n{}", wrong.join("\n"));
}

#[test]
fn no_modules_use_each_other_in_a_circle() {
    for root in ["src", "src/bin/vm-agent-libvirt"] {
        has_no_circle(graph(&Path::new(env!("CARGO_MANIFEST_DIR")).join(root)));
    }
}

fn has_no_circle(mut graph: BTreeMap<String, BTreeSet<String>>) {
    // What uses nothing that is left, or is used by nothing that is left, is in no circle.
    loop {
        let before = graph.len();
        let left: BTreeSet<String> = graph.keys().cloned().collect();
        graph.retain(|_, uses| uses.iter().any(|used| left.contains(used)));
        let used: BTreeSet<String> = graph.values().flatten().cloned().collect();
        graph.retain(|module, _| used.contains(module));
        if graph.len() == before {
            break;
        }
    }
    let left: BTreeSet<&String> = graph.keys().collect();
    let circle: Vec<String> = graph
        .iter()
        .map(|(module, uses)| {
            format!("{module} -> {:?}", uses.iter().filter(|used| left.contains(used)).collect::<Vec<_>>())
        })
        .collect();
    assert!(circle.is_empty(), "modules in a circle:\n{}", circle.join("\n"));
}

/// Who reads a type's name need not ask which one is meant. (A private file of tests may call its own what it likes.)
#[test]
fn no_two_types_have_one_name() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let mut known: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut twice = Vec::new();
    for file in files.into_iter().filter(|file| !file.ends_with("tests.rs")) {
        for line in code(&file).lines() {
            let words: Vec<&str> = line.split_whitespace().skip_while(|word| word.starts_with("pub")).collect();
            let [kind, name, ..] = words[..] else { continue };
            // An associated type has the name that its trait gives it.
            let is_type = matches!(kind, "struct" | "enum" | "trait") || (kind == "type" && !line.starts_with(' '));
            let name: String = name.chars().take_while(|c| c.is_alphanumeric()).collect();
            if is_type && let Some(other) = known.insert(name.clone(), file.clone()) {
                twice.push(format!("{name}: {} and {}", other.display(), file.display()));
            }
        }
    }
    assert!(known.len() > 150 && twice.is_empty(), "{} types, and twice:\n{}", known.len(), twice.join("\n"));
}

/// An undefinition takes a firmware's variables and a TPM's state along, unless it is told not to.
#[test]
fn nothing_undefines_a_domain_but_with_the_word_that_keeps_its_state() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let (mut calls, mut words) = (0, BTreeSet::new());
    for file in files {
        let code = code(&file);
        for (place, _) in code.match_indices("undefine_flags(") {
            let argument = code[place..].split(')').next().unwrap();
            assert!(argument.contains("VIR_DOMAIN_UNDEFINE_KEEP_NVRAM"), "{}: {argument}", file.display());
            calls += 1;
        }
        for banned in ["virDomainUndefine", ".undefine()", "UNDEFINE_NVRAM", "UNDEFINE_TPM", "\"undefine\""] {
            assert!(!code.contains(banned), "{} has {banned}", file.display());
        }
        let virshs = code.split('"').filter(|word| word.starts_with("--") && word.contains("undefine"));
        words.extend(virshs.map(str::to_owned));
    }
    // What a person says in migrate_options.
    assert_eq!((calls, words.into_iter().collect::<Vec<_>>()), (2, vec!["--undefinesource".to_owned()]));
}
