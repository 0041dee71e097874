//! Laws of embedding with the default model, through ONNX Runtime, without a server.
use rag::Error;
use rag::model::session::SessionOptions;
use rag::model::store::Store;
use rag::model::{Detail, Embedder, Embedding, LocalModel, Purpose, Reranker};
use std::path::{Path, PathBuf};
use std::time::Duration;

fn from_environment(variable: &str, default: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| default.into(), PathBuf::from)
}

fn models() -> PathBuf {
    from_environment("RAG_PG_MODEL_PATH", "/var/lib/rag_pg/models")
}

fn options() -> SessionOptions {
    SessionOptions::new(from_environment(
        "ORT_DYLIB_PATH",
        "/usr/local/lib/rag_pg/libonnxruntime.so",
    ))
}

const MODEL: &str = "all-MiniLM-L6-v2";

fn open_with(options: SessionOptions) -> LocalModel {
    let located = Store::new(models()).locate(MODEL).expect("make setup installs the model");
    LocalModel::open(located, options).expect("the model opens")
}

fn open() -> LocalModel {
    open_with(options())
}

fn embed(model: &LocalModel, texts: &[&str], detail: Detail) -> Vec<Embedding> {
    model.embed(texts, Purpose::Document, detail, &mut || Ok(())).expect("the texts embed")
}

fn vector(model: &LocalModel, text: &str) -> Vec<f32> {
    embed(model, &[text], Detail::Vector).swap_remove(0).vector
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Texts of very different lengths, in no order.
fn mixed_texts() -> Vec<String> {
    (0..60)
        .map(|i| format!("Text {i} speaks {}", "of cats and vacuum ".repeat(i * 7 % 23)))
        .collect()
}

#[test]
fn a_vector_is_what_the_published_model_gives() {
    // Components 0 to 3 of the fp32 model's vector; 8-bit weights stay near it.
    let reference = [0.067_656_9, 0.063_495_9, 0.048_713_1, 0.079_305_0];
    let vector = vector(&open(), "This is an example sentence");
    assert_eq!(vector.len(), 384);
    assert!((dot(&vector, &vector) - 1.0).abs() < 1e-4);
    for (ours, theirs) in vector.iter().zip(reference) {
        assert!((ours - theirs).abs() < 0.015, "{ours} is not near {theirs}");
    }
}

#[test]
fn similar_texts_have_similar_vectors() {
    let model = open();
    let query = vector(&model, "How do I remove dead rows?");
    let near = vector(&model, "VACUUM reclaims storage occupied by dead tuples.");
    let far = vector(&model, "The cat sat on the mat.");
    assert!(dot(&query, &near) > dot(&query, &far) + 0.1);
}

#[test]
fn a_batch_gives_what_single_texts_give_in_their_order() {
    let model = open();
    let texts = mixed_texts();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let batch = embed(&model, &texts, Detail::Vector);
    assert_eq!(batch.len(), texts.len());
    for (text, embedding) in texts.iter().zip(&batch) {
        let cosine = dot(&vector(&model, text), &embedding.vector);
        assert!(cosine > 0.999, "{text}: {cosine}");
    }
}

#[test]
fn token_vectors_are_of_the_text_alone_and_of_unit_length() {
    let model = open();
    let texts = ["one", "A somewhat longer sentence, with punctuation."];
    for (text, embedding) in texts.iter().zip(embed(&model, &texts, Detail::Tokens)) {
        let tokens = embedding.tokens.expect("token vectors were asked for");
        assert_eq!(tokens.dimensions, 384);
        assert_eq!(tokens.data.len(), model.tokenizer().count(text).unwrap() * 384);
        assert_eq!(embedding.token_count * 384, tokens.data.len());
        for row in tokens.data.chunks_exact(384) {
            assert!((dot(row, row) - 1.0).abs() < 1e-4);
        }
    }
}

#[test]
fn text_past_the_window_does_not_count() {
    let model = open();
    let room = model.room(Purpose::Document).unwrap();
    let fits = "word ".repeat(room);
    let exact = embed(&model, &[&fits], Detail::Tokens).swap_remove(0);
    assert!(!exact.truncated);
    assert_eq!(exact.token_count, room);
    let longer =
        embed(&model, &[&(fits + "and an end that is cut off")], Detail::Tokens).swap_remove(0);
    assert!(longer.truncated);
    assert_eq!(longer.token_count, room + 7);
    assert_eq!(longer.tokens.unwrap().data.len(), room * 384);
    assert!(dot(&exact.vector, &longer.vector) > 0.9999);
}

#[test]
fn a_huge_text_is_read_in_slices() {
    let model = open();
    let text = format!("{}{}", " ".repeat(600_000), "dead tuples ".repeat(100_000));
    let mut checks = 0;
    let mut count = || {
        checks += 1;
        Ok(())
    };
    let huge = model
        .embed(&[&text], Purpose::Document, Detail::Vector, &mut count)
        .unwrap()
        .swap_remove(0);
    assert!(huge.truncated);
    assert_eq!(huge.token_count, 200_000 + 100_000);
    assert!(checks >= 7, "{checks} checkpoints");
    let beginning = vector(&model, &"dead tuples ".repeat(1_000));
    assert!(dot(&huge.vector, &beginning) > 0.9999);
}

#[test]
fn a_text_without_a_token_is_an_error_that_names_it() {
    let model = open();
    for blank in ["", " \n\t", "\u{200b}"] {
        let error = model
            .embed(&["fine", blank], Purpose::Document, Detail::Vector, &mut || Ok(()))
            .unwrap_err();
        assert_eq!(error.sqlstate(), "22023");
        assert!(error.message().contains("text 2 of 2"), "{error}");
        assert!(error.hint().is_some());
    }
}

#[test]
fn no_text_gives_no_vector() {
    assert!(embed(&open(), &[], Detail::Tokens).is_empty());
}

#[test]
fn a_checkpoint_ends_the_work_between_batches() {
    let model = open();
    let texts = vec!["some words about nothing in particular, again and again"; 400];
    let mut checks = 0;
    let outcome = model.embed(&texts, Purpose::Document, Detail::Vector, &mut || {
        checks += 1;
        if checks == 3 { Err(Error::cancelled()) } else { Ok(()) }
    });
    assert!(outcome.unwrap_err().is_cancelled());
    assert_eq!(checks, 3);
}

#[test]
fn a_checkpoint_ends_the_work_inside_a_run() {
    let model = open_with(SessionOptions { watch_after: Duration::ZERO, ..options() });
    let text = "word ".repeat(200);
    let texts = vec![text.as_str(); 5];
    let watched = embed(&model, &texts, Detail::Vector).swap_remove(0).vector;
    assert!(dot(&watched, &vector(&open(), &text)) > 0.9999);
    let mut checks = 0;
    let outcome = model.embed(&texts, Purpose::Document, Detail::Vector, &mut || {
        checks += 1;
        // The first is before the run, the second 10 ms into it.
        if checks == 2 { Err(Error::cancelled()) } else { Ok(()) }
    });
    assert!(outcome.unwrap_err().is_cancelled());
    assert_eq!(embed(&model, &["still works"], Detail::Vector).len(), 1);
}

#[test]
fn more_threads_give_the_same_vectors() {
    let two = open_with(SessionOptions { threads: 2, ..options() });
    let text = "Threads do not change what a text means.";
    assert!(dot(&vector(&two, text), &vector(&open(), text)) > 0.9999);
}

#[test]
fn an_embedder_is_no_reranker() {
    let error = open().rerank("query", &["document"], &mut || Ok(())).unwrap_err();
    assert_eq!(error.sqlstate(), "42804");
}

#[test]
fn little_of_a_batch_is_padding() {
    let model = open();
    let texts: Vec<String> = (0..800).map(|i| "word ".repeat(20 + i * 37 % 200)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let padding = model.padding(&texts, Purpose::Document).unwrap();
    assert!(padding < 0.05, "{padding}");
}

// --- Names and damaged files ----------------------------------------------------------------------

#[test]
fn unknown_names_say_what_is_installed() {
    let store = Store::new(models());
    let error = store.locate("no-such-model").unwrap_err();
    assert_eq!(error.sqlstate(), "42704");
    assert!(error.hint().unwrap().contains(MODEL), "{error:?}");
    let error = store.locate(&format!("{MODEL}@{}", "0".repeat(64))).unwrap_err();
    assert_eq!(error.sqlstate(), "42704");
    let error = Store::new("/nonexistent").locate(MODEL).unwrap_err();
    assert!(error.hint().unwrap().contains("make setup"), "{error:?}");
}

#[test]
fn names_cannot_leave_the_models_directory() {
    let store = Store::new(models());
    for name in ["..", "../models/x", "/etc", "a/b", "", ".hidden", "x@../..", "x@", "a\0b", "-x"] {
        assert_eq!(store.locate(name).unwrap_err().sqlstate(), "22023", "{name:?}");
    }
}

/// A copy of the models directory's default model, for a test to damage.
fn copied(directory: &Path) -> (Store, PathBuf) {
    let located = Store::new(models()).locate(MODEL).unwrap();
    let build = directory.join(MODEL).join(&located.fingerprint);
    std::fs::create_dir_all(&build).unwrap();
    for file in ["manifest.json", "tokenizer.json", "model.onnx"] {
        std::fs::copy(located.directory.join(file), build.join(file)).unwrap();
    }
    std::fs::write(directory.join(MODEL).join("current"), &located.fingerprint).unwrap();
    (Store::new(directory), build)
}

fn first_error(store: &Store) -> Error {
    let outcome = store.locate(MODEL).and_then(|located| LocalModel::open(located, options()));
    outcome.and_then(|model| model.session().map(|_| ())).unwrap_err()
}

#[test]
fn damaged_files_are_refused() {
    let truncate = |path: &Path| {
        let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    };
    for file in ["manifest.json", "tokenizer.json", "model.onnx"] {
        for damage in [truncate, |path: &Path| std::fs::remove_file(path).unwrap()] {
            let directory = tempfile::tempdir().unwrap();
            let (store, build) = copied(directory.path());
            damage(&build.join(file));
            let error = first_error(&store);
            assert_eq!(error.sqlstate(), "F0000", "{error:?}");
            assert!(error.hint().is_some(), "{error:?}");
        }
    }
}

#[test]
fn a_build_under_another_fingerprint_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (store, build) = copied(directory.path());
    let other = "f".repeat(64);
    std::fs::rename(&build, build.with_file_name(&other)).unwrap();
    std::fs::write(directory.path().join(MODEL).join("current"), other).unwrap();
    assert_eq!(first_error(&store).sqlstate(), "F0000");
}

#[test]
fn a_manifest_changed_by_hand_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (store, build) = copied(directory.path());
    let manifest = build.join("manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let changed = text.replace("\"max_tokens\": 256", "\"max_tokens\": 512");
    assert_ne!(text, changed);
    std::fs::write(&manifest, changed).unwrap();
    assert_eq!(first_error(&store).sqlstate(), "F0000");
}

#[test]
fn a_name_without_a_current_build_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = copied(directory.path());
    std::fs::write(directory.path().join(MODEL).join("current"), "nonsense").unwrap();
    assert_eq!(first_error(&store).sqlstate(), "F0000");
    std::fs::remove_file(directory.path().join(MODEL).join("current")).unwrap();
    assert_eq!(first_error(&store).sqlstate(), "F0000");
}

#[test]
fn the_model_has_words_of_languages_in_latin_letters() {
    let model = open();
    let has = |text: &str| model.tokenizer().has_words_for(text).unwrap();
    for text in [
        "How do I get disk space back?",
        "¿Cómo recupero el espacio en disco?",
        "Der Kühlschrank fällt auf.",
        "Příliš žluťoučký kůň úpěl",
        "Làm thế nào để lấy lại dung lượng?",
        "Tver is called Тверь.",
        "int i, j, k;",
        "T12 C3PO k8s",
        "x = y + z",
        "2332-71",
        "",
    ] {
        assert!(has(text), "{text}");
    }
    for text in [
        "Как освободить место на диске?",
        "Як звільнити місце на диску PostgreSQL?",
        "Πώς ελευθερώνω χώρο;",
        "איך לפנות מקום בדיסק",
        "كيف أستعيد مساحة القرص؟",
        "डिस्क की जगह कैसे वापस पाएँ",
        "จะคืนพื้นที่ดิสก์ได้อย่างไร",
        "디스크 공간을 어떻게 되찾나요?",
        "如何释放磁盘空间",
        "ディスクの空き容量を増やす方法",
    ] {
        assert!(!has(text), "{text}");
    }
}
