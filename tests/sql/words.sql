-- Words as people type them: compounds and their parts, names with symbols, forms of characters, line ends, hyphens.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rag_pg CASCADE;
CREATE TABLE word (id text PRIMARY KEY, body text);
INSERT INTO word VALUES
    ('cve', 'Fixed in CVE-2026-2332; ORA-00942; part DS-7604; pages 10-20'),
    ('paths', 'Edit /etc/postgresql/16/main/postgresql.conf; client/server; node.js; ops@example.com, see https://docs.example.org/v2/index.html?lang=de'),
    ('c', 'A course in C for those who know B.'),
    ('c++', 'A course in C++ for those who know Simula.'),
    ('c#', 'A course in C# for those who know Delphi.'),
    ('.net', 'A course in .NET for those who know COM.'),
    ('f#', 'A course in F# for those who know OCaml.'),
    ('korean', '서울은 대한민국의 수도이다. 백업을 매일 만들고 비밀번호를 바꾸십시오.'),
    ('forms', E're\u0301sume\u0301 cafe\u0301, ＡＢＣ１２３, ﾊﾝｶｸ, e\uFB03cient, Ti\u1EBFng Vi\u1EC7t'),
    ('shy', E'Donau\u00ADdampf\u00ADschiff, zero\u200Bwidth, Immo-\nbilien, Fall-\nStudie'),
    ('parts', 'v1.2.3, 10kΩ, HttpRequestHandler, snake_case_name, @angular/core, 1,234,567 rows, 2.5 GB, #postgres, utf8'),
    ('points', 'שָׁלוֹם עוֹלָם and مُحَمَّد'),
    ('gcc', 'The option -Wall makes gcc print all usual warnings.'),
    ('tar', 'tar -xvf extracts files of an archive.'),
    ('phone', 'Call +49 30 901820-12 or (030) 115; IBAN DE89 3704 0044 0532 0130 00; part no. A4-77/B');
SELECT rag_create_collection('word', 'word', 'body', text_search_config => 'english', format => 'plain');
CALL rag_work('word');
CREATE FUNCTION found(query text, syntax text = 'words') RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(document_key ->> 'id', ', ') FROM rag_search('word', query, 3, rerank => false, dense_weight => 0, syntax => syntax) $$;
-- By words alone, best first.
SELECT id, query, found(query), split_part(found(query), ', ', 1) = id AS is_first
  FROM (VALUES ('cve', '2332'), ('cve', '00942'), ('cve', '7604'), ('cve', '20'), ('cve', 'DS 7604'), ('cve', 'cve-2026-2332'), ('cve', 'CVE 2026 2332'),
               ('paths', 'postgresql.conf'), ('paths', 'server'), ('paths', 'node js'), ('paths', 'nodejs'), ('paths', 'node.js'), ('paths', 'example.com'),
               ('paths', 'docs.example.org'), ('paths', 'index.html'), ('paths', '"node js"'), ('paths', '/etc/postgresql'),
               ('c', 'C'), ('c++', 'C++'), ('c#', 'C#'), ('c#', 'csharp'), ('.net', '.NET'), ('.net', 'net'), ('f#', 'f#'),
               ('korean', '서울'), ('korean', '백업'), ('korean', '비밀번호'), ('korean', '수도'),
               ('forms', 'résumé'), ('forms', 'café'), ('forms', 'ABC123'), ('forms', 'abc 123'), ('forms', 'ハンカク'), ('forms', 'efficient'), ('forms', 'tiếng việt'),
               ('shy', 'Donaudampfschiff'), ('shy', 'zerowidth'), ('shy', 'Immobilien'), ('shy', 'Fallstudie'), ('shy', 'Studie'),
               ('parts', '1.2.3'), ('parts', 'v1.2.3'), ('parts', '10 kΩ'), ('parts', '10kΩ'), ('parts', 'http request handler'), ('parts', 'case name'), ('parts', 'angular'),
               ('parts', '1234567'), ('parts', '2.5 GB'), ('parts', 'postgres'), ('parts', 'utf-8'), ('parts', 'requestHandler'),
               ('points', 'שלום'), ('points', 'محمد'),
               ('gcc', 'what does gcc -Wall do?'), ('gcc', 'Wall'), ('tar', 'tar -xvf'), ('tar', E'-archive\n-files'),
               ('phone', '901820'), ('phone', '030 115'), ('phone', 'A4-77/B'), ('phone', '3704')) AS q (id, query);
-- So with everything that a search does.
SELECT query, (SELECT array_agg(document_key ->> 'id') FROM rag_search('word', query, 2)) AS found
  FROM unnest(ARRAY['2332', 'postgresql.conf', 'C#', '.NET', '서울', 'ABC123', 'Immobilien', 'http request handler', 'what does gcc -Wall do?']) query;
-- Whoever asks for it can exclude.
SELECT query, found(query, 'web') FROM unnest(ARRAY['course -Simula', 'course -"know COM" -simula -delphi', 'gcc -print', 'tar -xvf']) query;
SELECT found('course', 'google');
SELECT found('course', NULL);
-- What the index has of a text.
SELECT to_tsvector('english', rag.search_text('english', 'The node.js team fixed CVE-2026-2332 in v1.2.3 of C++ Requests'));
SELECT rag_drop_collection('word');
DROP FUNCTION found;
DROP TABLE word;
