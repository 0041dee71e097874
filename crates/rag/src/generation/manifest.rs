//! What a generation's tables say about themselves: read where the catalog does not know them, after a dump of their schema alone
//! or a new `CREATE EXTENSION`. Whoever owns the tables may have written it.
use crate::{Error, Result};
use serde::Deserialize;

/// The version that is written.
const VERSION: u32 = 1;
/// How the comment on a table of documents begins; the collection's name follows, and the manifest on the last line.
const PREFIX: &str = "rag_pg: documents of collection ";

/// Options of a collection and of one generation of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[allow(clippy::struct_excessive_bools)] // as many options
pub struct Manifest {
    version: u32,
    /// Name of the collection.
    pub collection: String,
    /// The source as it was called, qualified and quoted.
    pub source: String,
    /// Column with the documents.
    pub content: String,
    /// What it holds.
    pub content_kind: String,
    /// Column with titles.
    pub title: Option<String>,
    /// Column with names of files.
    pub file_name: Option<String>,
    /// Column with their MIME types.
    pub media_type: Option<String>,
    /// Whether the text of files is kept.
    pub keep_text: bool,
    /// Whether pictures of text are recognized.
    pub ocr: bool,
    /// Text search configuration, qualified and quoted.
    pub text_search_config: String,
    /// Whether the collection heeds logical replication.
    pub replicated: bool,
    /// The model.
    pub model: String,
    /// Hash over everything that its vectors depend on.
    pub fingerprint: String,
    /// Version of the stored formats.
    pub storage_format: i32,
    /// Version of the analysis by which texts became words.
    pub analysis: i32,
    /// Length of the vectors.
    pub dimensions: i32,
    /// Most tokens of a chunk.
    pub max_tokens: i32,
    /// Most tokens that two neighbouring chunks share.
    pub overlap_tokens: i32,
    /// Format of the documents.
    pub format: String,
    /// Method of the vector index that was asked for.
    pub index: String,
    /// What finds chunks by their words.
    pub lexical: String,
    /// The table of chunks, in the schema of the documents, as the others.
    pub chunks: String,
    /// The table of token bits.
    pub bits: Option<String>,
    /// The table of segments.
    pub segments: String,
    /// The table of posting lists.
    pub postings: String,
}

impl Manifest {
    /// The comment on a table of documents.
    pub fn comment(collection: &str, manifest: &str) -> String {
        format!("{PREFIX}{collection}\n{manifest}")
    }

    /// The manifest in a comment; an error where there is one that cannot be used, `None` where there is none.
    pub fn of_comment(comment: &str) -> Result<Option<Self>> {
        let Some((_, text)) = comment.strip_prefix(PREFIX).and_then(|text| text.rsplit_once('\n'))
        else {
            return Ok(None);
        };
        let damaged = |detail: String| {
            Error::invalid_argument("the comment on the table of documents cannot be used")
                .with_detail(detail)
                .with_hint("Create the collection anew with rag_create_collection().")
        };
        let manifest: Self = serde_json::from_str(text)
            .map_err(|error| damaged(format!("It is not as rag_pg wrote it: {error}.")))?;
        if manifest.version != VERSION {
            let found = manifest.version;
            return Err(damaged(format!("It has version {found}, and this reads {VERSION}.")));
        }
        Ok(Some(manifest))
    }
}

#[cfg(test)]
mod tests {
    use super::Manifest;

    const TEXT: &str = r#"{"version":1,"collection":"a\nb","source":"s.\"T\"","content":"body","content_kind":"text","title":null,
        "keep_text":true,"ocr":false,"text_search_config":"pg_catalog.english","replicated":false,"model":"m","fingerprint":"f",
        "storage_format":2,"analysis":1,"dimensions":384,"max_tokens":254,"overlap_tokens":50,"format":"auto","index":"hnsw",
        "lexical":"builtin","chunks":"c","bits":null,"segments":"s","postings":"p"}"#;

    fn read(text: &str) -> crate::Result<Option<Manifest>> {
        Manifest::of_comment(&Manifest::comment("a\nb", &text.replace('\n', "")))
    }

    #[test]
    fn a_comment_gives_back_what_was_written() {
        let manifest = read(TEXT).unwrap().unwrap();
        assert_eq!((manifest.collection.as_str(), manifest.dimensions), ("a\nb", 384));
        assert_eq!(manifest.source, "s.\"T\"");
    }

    #[test]
    fn other_comments_have_none() {
        for comment in ["", "mine", "rag_pg: documents of collection x", "rag_pg: chunks of x\n{}"]
        {
            assert_eq!(Manifest::of_comment(comment).unwrap(), None);
        }
    }

    #[test]
    fn what_is_not_as_it_was_written_is_an_error_with_a_hint() {
        for text in [
            "{}",
            "[1]",
            "\u{0}",
            &TEXT.replace("384", "99999999999"),
            &TEXT.replace("384", "\"384\""),
            &TEXT.replace("\"version\":1", "\"version\":2"),
            &TEXT.replace("true", "null"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.hint().is_some() && error.detail().is_some(), "{text}");
        }
    }
}
