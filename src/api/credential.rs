//! `rag_create_credential` and `rag_drop_credential`: where keys come from, and where they may go.
use crate::sys::error::SqlError;
use crate::sys::rights::as_extension_owner;
use crate::sys::spi::{execute, read, required};
use pgrx::prelude::*;
use rag::remote::{Credential, KeySource, Url};
use rag::{Error, Result};
use std::path::PathBuf;

#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_create_credential(name text, url_prefix text, file text = NULL, env text = NULL) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_create_credential IS 'names a file or environment variable of the server that holds a key, and the URL it may be sent to';
REVOKE ALL ON FUNCTION @extschema@.rag_create_credential FROM PUBLIC;
", requires = ["remote"])]
fn rag_create_credential(
    name: Option<&str>,
    url_prefix: Option<&str>,
    file: Option<&str>,
    env: Option<&str>,
) -> Result<(), SqlError> {
    let name = crate::api::model::named("credential", name)?;
    let url_prefix = url_prefix.ok_or_else(|| {
        Error::invalid_argument("a credential needs a URL prefix")
            .with_hint("Its key is sent to this URL and those below, and nowhere else.")
    })?;
    let source = match (file, env) {
        (Some(file), None) => KeySource::File(PathBuf::from(file)),
        (None, Some(env)) => KeySource::Environment(env.to_owned()),
        _ => {
            return Err(Error::invalid_argument(
                "a credential is either a file or an environment variable",
            )
            .with_hint("Give one of \"file\" and \"env\".")
            .into());
        }
    };
    source.check()?;
    let credential =
        Credential { name: name.to_owned(), url_prefix: Url::parse(url_prefix)?, source };
    let prefix = credential.url_prefix.to_string();
    let args = [name.into(), prefix.into(), file.into(), env.into()];
    let sql = statement!("api/remote_insert_credential");
    if as_extension_owner(|| execute(sql, &args)) == 0 {
        return Err(Error::duplicate(format!("credential \"{name}\" already exists"))
            .with_hint("Choose another name, or drop it first.")
            .into());
    }
    Ok(())
}

#[pg_extern(sql = r"
CREATE FUNCTION @extschema@.rag_drop_credential(name text) RETURNS void
    STRICT LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
COMMENT ON FUNCTION @extschema@.rag_drop_credential IS 'forgets a credential that no model uses';
REVOKE ALL ON FUNCTION @extschema@.rag_drop_credential FROM PUBLIC;
", requires = ["remote"])]
fn rag_drop_credential(name: &str) -> Result<(), SqlError> {
    let used_by = statement!("api/remote_credential_used_by");
    let delete = statement!("api/remote_delete_credential");
    let model =
        as_extension_owner(|| read(used_by, &[name.into()], |row| required::<String>(&row, 1)));
    if let Some(model) = model.first() {
        return Err(Error::not_ready(format!("credential \"{name}\" is in use"))
            .with_detail(format!("Model \"{model}\" is called with it."))
            .with_hint("Drop the model first.")
            .into());
    }
    if as_extension_owner(|| execute(delete, &[name.into()])) == 0 {
        return Err(Error::undefined(format!("credential \"{name}\" does not exist"))
            .with_hint("The table rag.credential lists them.")
            .into());
    }
    Ok(())
}
