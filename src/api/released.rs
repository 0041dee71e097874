//! Symbols that functions of earlier releases are declared with, and that read other arguments now or are gone. A database whose
//! objects are of that release may call them, and `pg_upgrade` declares them again: they say what to do. `RELEASING.md` has
//! the rule.
#![allow(unsafe_code)] // exported names

/// Each symbol with the one by which PostgreSQL asks how to call it.
macro_rules! released {
    ($($symbol:ident $finfo:ident;)*) => {$(
        #[unsafe(no_mangle)]
        #[doc(hidden)]
        pub extern "C" fn $finfo() -> &'static pgrx::pg_sys::Pg_finfo_record {
            static RECORD: pgrx::pg_sys::Pg_finfo_record =
                pgrx::pg_sys::Pg_finfo_record { api_version: 1 };
            &RECORD
        }

        #[pgrx::pg_guard]
        #[unsafe(no_mangle)]
        #[doc(hidden)]
        pub unsafe extern "C-unwind" fn $symbol(
            _call: pgrx::pg_sys::FunctionCallInfo,
        ) -> pgrx::pg_sys::Datum {
            let said = "this function is declared as an earlier version of rag_pg did it";
            let hint = "Run ALTER EXTENSION rag_pg UPDATE in this database.";
            crate::sys::error::raise(rag::Error::not_ready(said).with_hint(hint))
        }
    )*};
}

released! {
    rag_create_collection_wrapper pg_finfo_rag_create_collection_wrapper;
    rag_alter_collection_wrapper pg_finfo_rag_alter_collection_wrapper;
}
