//! Installing models: complete or not at all, readable, repeatable; damage is found and repaired.
#[path = "support/tiny_model.rs"]
mod tiny_model;

use rag::model::import::source::ModelSource;
use rag::model::import::{Imported, Options, import};
use rag::model::install::{InstallOutcome, install};
use rag::model::inventory;
use rag::model::manifest::Precision;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tiny_model::TinyModel;

fn imported(seed: u64) -> Imported {
    let directory = tempfile::tempdir().unwrap();
    TinyModel::encoder(seed).write(directory.path());
    let options =
        Options { name: "tiny".into(), precision: Precision::Int8, origin: "a test".into() };
    import(&ModelSource::open(directory.path()).unwrap(), &options).unwrap()
}

#[test]
fn installing_is_complete_readable_and_repeatable() {
    let models = tempfile::tempdir().unwrap();
    let root = models.path().join("below/models");
    let model = imported(1);
    assert_eq!(install(&root, &model).unwrap(), InstallOutcome::Installed);
    assert_eq!(install(&root, &model).unwrap(), InstallOutcome::AlreadyInstalled);

    let place = root.join("tiny").join(&model.manifest.fingerprint);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for directory in [&root, &root.join("tiny"), &place] {
        assert_eq!(mode(directory), 0o755, "{}", directory.display());
    }
    for file in ["model.onnx", "tokenizer.json", "manifest.json", "../current"] {
        assert_eq!(mode(&place.join(file)), 0o644, "{file}");
    }
    assert_eq!(inventory::check(&place).unwrap(), model.manifest);

    let other = imported(2);
    install(&root, &other).unwrap();
    let current = inventory::current(&root, "tiny").unwrap();
    assert_eq!(current.as_deref(), Some(&*other.manifest.fingerprint));
    let builds = inventory::list(&root).unwrap();
    assert_eq!(builds.iter().map(|b| b.is_current).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn damage_is_found_and_repaired() {
    let models = tempfile::tempdir().unwrap();
    let model = imported(1);
    install(models.path(), &model).unwrap();
    let place = models.path().join("tiny").join(&model.manifest.fingerprint);
    let damages: [fn(&mut Vec<u8>); 3] =
        [|b| b.truncate(b.len() / 2), |b| b.clear(), |b| *b.last_mut().unwrap() ^= 1];
    for file in ["model.onnx", "tokenizer.json", "manifest.json"] {
        for damage in damages {
            let mut bytes = fs::read(place.join(file)).unwrap();
            damage(&mut bytes);
            fs::write(place.join(file), bytes).unwrap();
            let error = inventory::check(&place);
            // White space at the manifest's end is no damage; all else is.
            if file != "manifest.json" || error.is_err() {
                assert_eq!(error.unwrap_err().sqlstate(), "F0000");
                assert_eq!(install(models.path(), &model).unwrap(), InstallOutcome::Repaired);
            }
            inventory::check(&place).unwrap();
        }
        fs::remove_file(place.join(file)).unwrap();
        assert!(inventory::check(&place).unwrap_err().to_string().contains(file));
        assert_eq!(install(models.path(), &model).unwrap(), InstallOutcome::Repaired);
    }
    let names = |path: &Path| -> Vec<String> {
        let entries = fs::read_dir(path).unwrap();
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    };
    let leftovers = names(&models.path().join("tiny"));
    assert_eq!(leftovers.len(), 3, "the build, current and the lock, but {leftovers:?}");
}

#[test]
fn two_imports_at_once_leave_one_good_model() {
    let model = imported(1);
    // Again and again: they clash over the directories in moments.
    for _ in 0..20 {
        let models = tempfile::tempdir().unwrap();
        let (start, directory) = (std::sync::Barrier::new(4), models.path().join("new/models"));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    start.wait();
                    install(&directory, &model).unwrap();
                });
            }
        });
        let builds = inventory::builds(&directory, "tiny").unwrap();
        assert_eq!(builds.len(), 1);
        inventory::check(&builds[0].path).unwrap();
    }
}
