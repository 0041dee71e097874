-- rag_extract() and rag_extract_text(), with a stand-in for the program: see tests/extract/stand_in.pl.
SELECT page, content, metadata FROM rag_extract(convert_to(E'Title: A file\nOne page of text\fand another.', 'UTF8'));
SELECT rag_extract_text(convert_to(E'The first part of\fa sentence.\f{"sheet": "S"}\nMore', 'UTF8'));
SELECT page, content FROM rag_extract(convert_to(E'one\ftwo\fthree', 'UTF8'), max_pages => 2);
SELECT rag_extract_text('!arguments', format => 'pdf', file_name => 'a b.pdf', media_type => 'application/pdf', password => 'x y');

-- No file.
SELECT count(*), rag_extract_text(NULL) IS NULL FROM rag_extract(NULL);
SELECT page, content = '' FROM rag_extract('');

-- What the program may and sees.
SELECT rag_extract_text('!inside');
SELECT rag_extract_text('!fork'), rag_extract_text('!deaf');

-- What a file can be.
\set VERBOSITY verbose
\set SHOW_CONTEXT never
CREATE FUNCTION failure(file text, ocr boolean = false, OUT code text, OUT message text, OUT detail text, OUT hint text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM rag_extract_text(convert_to(file, 'UTF8'), ocr => ocr);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    -- Perl's words change from version to version.
    detail := regexp_replace(detail, 'Out of memory.*', 'Out of memory');
END $$;
\x on
SELECT f.* FROM (VALUES ('%unsupported format not known'), ('%damaged the xref table is missing'), ('%encrypted the file is encrypted'),
                        ('%no_text there is none'), ('%too_large nested too deeply'), ('%timeout too slow'), ('%strange what')) AS v (file),
                LATERAL failure(v.file) AS f;
-- What a program can do.
SELECT f.* FROM (VALUES ('!crash'), ('!exit'), ('!silent'), ('!garbage'), ('!huge'), ('!memory'), ('!linger')) AS v (file),
                LATERAL failure(v.file) AS f;
SET rag_pg.extract_timeout = '1s';
SELECT f.* FROM (VALUES ('!hang'), ('!spin')) AS v (file), LATERAL failure(v.file) AS f;
RESET rag_pg.extract_timeout;
SET rag_pg.max_document_size = '2MB';
SELECT f.* FROM (VALUES ('!flood')) AS v (file), LATERAL failure(v.file) AS f;
RESET rag_pg.max_document_size;
SET rag_pg.max_file_size = '1kB';
SELECT f.* FROM failure(repeat('x', 1025)) AS f;
SELECT f.* FROM failure(repeat('x', 1024)) AS f;
RESET rag_pg.max_file_size;
SELECT length(detail) < 1000 AS is_short, code FROM failure('!complain');

-- Pictures of text.
SET rag_pg.ocr_program = '/bin/printf recognized\ftext';
SELECT rag_extract_text('%no_text', ocr => true), (SELECT metadata FROM rag_extract('%no_text', ocr => true) LIMIT 1);
SELECT f.* FROM failure('%no_text') AS f;
SET rag_pg.ocr_program = '/bin/false';
SELECT f.* FROM failure('%no_text', ocr => true) AS f;
SET rag_pg.ocr_program = '/bin/true';
SELECT f.* FROM failure('%no_text', ocr => true) AS f;
SET rag_pg.ocr_program = '/nowhere/ocr';
SELECT f.* FROM failure('%no_text', ocr => true) AS f;
RESET rag_pg.ocr_program;
SET rag_pg.extract_program = '/nowhere/rag-extract';
SELECT f.* FROM failure('x') AS f;
RESET rag_pg.extract_program;
\x off

-- Arguments.
\set VERBOSITY default
SELECT rag_extract_text('x', format => 'exe');
SELECT rag_extract_text('x', max_pages => 0);

-- A statement that is cancelled ends the program with it.
SET statement_timeout = '100ms';
SELECT rag_extract_text('!hang');
RESET statement_timeout;

-- Anyone may extract, and nobody but a superuser choose the program.
CREATE ROLE regress_reader;
SET ROLE regress_reader;
SELECT rag_extract_text('anyone');
SET rag_pg.extract_program = '/bin/sh';
SET rag_pg.ocr_program = '/bin/sh';
SET rag_pg.extract_memory = '2GB';
RESET ROLE;
DROP ROLE regress_reader;
DROP FUNCTION failure;
