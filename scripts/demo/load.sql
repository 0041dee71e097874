-- Run by scripts/demo.sh as superuser, with psql variables: directory (of the manual's HTML pages)
-- and pages (how many).
CREATE TABLE manual (id text PRIMARY KEY, title text NOT NULL, html text NOT NULL);
COMMENT ON TABLE manual IS 'pages of the PostgreSQL manual';

-- The chapters most people read come first; the index of the whole book would answer nothing.
INSERT INTO manual (id, title, html)
SELECT name, coalesce(substring(html FROM '<title>(.*?)</title>'), name), html
  FROM (SELECT name
          FROM pg_ls_dir(:'directory') AS name
         WHERE name LIKE '%.html' AND name <> 'bookindex.html'
         ORDER BY name !~ '^(explicit-locking|mvcc|transaction|routine|ddl|dml|queries|indexes|textsearch|backup|continuous|wal|populate|performance|using-explain|tutorial|runtime-config|auth|monitoring|warm|high-avail|hot-standby|logical-replication)', name
         LIMIT :pages) AS page
 CROSS JOIN LATERAL (SELECT convert_from(pg_read_binary_file(:'directory' || '/' || name), 'UTF8') AS html) AS file;
ANALYZE manual;
