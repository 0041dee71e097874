# Files of models, keys, authorities and the runtime that are no files: pipes, directories, devices, links to somewhere else,
# files of 20 GB. Pins: a backend that waits for the other side of a pipe for ever, which neither a cancel nor
# pg_terminate_backend nor a fast shutdown ends; a server that reads for a minute before it starts; a model whose
# graph has ONNX Runtime read another file of the server's.
use strict;
use warnings;

use RagPg;
use TinyModel;
use File::Copy qw(copy move);
use File::Spec;
use IPC::Run ();
use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;

my $tmp = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir());
my $models = tiny_models($tmp);
my ($current) = slurp_file("$models/tiny/current") =~ /(\w+)/;
my $node = new_node('files', preload => 0, conf => <<"CONF");
rag_pg.model_path = '$models'
rag_pg.default_model = 'tiny'
rag_pg.preload_models = 'tiny'
rag_pg.allowed_hosts = '127.0.0.1'
rag_pg.workers = 0
CONF

# error_within($sql): SQLSTATE and message of the error, within 10 s; what is asked before may not fail.
sub error_within
{
	my ($sql) = @_;
	my ($stdout, $stderr) = ('', '');
	IPC::Run::run([ 'timeout', '10', psql_command($node), '-v', 'VERBOSITY=verbose' ], '<', \$sql, '>', \$stdout, '2>', \$stderr);
	return $stderr =~ /ERROR:\s+(\w{5}: .*?)\n(?:DETAIL:\s+(.*))?/ ? "$1 " . ($2 // '') : ($? >> 8) == 124 ? 'it hangs' : "no error: $stdout$stderr";
}

my %kinds = (
	'a pipe' => sub { POSIX::mkfifo($_[0], 0600) or die $!; },
	'a directory' => sub { mkdir $_[0] or die $!; },
	'a device' => sub { symlink '/dev/zero', $_[0] or die $!; },
	'a file elsewhere' => sub { append_to_file("$tmp/elsewhere", 'x') unless -e "$tmp/elsewhere"; symlink "$tmp/elsewhere", $_[0] or die $!; },
	'20 GB' => sub { append_to_file($_[0], 'x'); truncate $_[0], 20 * 2**30 or die $!; chmod 0600, $_[0]; });

# with($path, $kind, $test): runs the test while something else stands in the place of a file.
sub with
{
	my ($path, $kind, $test) = @_;
	my $is_there = -e $path;
	move($path, "$path.kept") if $is_there;
	$kinds{$kind}->($path);
	$test->();
	-d $path && !-l $path ? rmdir $path : unlink $path;
	move("$path.kept", $path) if $is_there;
	return;
}

is(error_within("SELECT rag_embed('a')"), "no error: " . $node->safe_psql('postgres', "SELECT rag_embed('a')") . "\n", 'the model works');
for my $file ("$models/tiny/current", map { "$models/tiny/$current/$_" } qw(manifest.json tokenizer.json model.onnx))
{
	my ($name) = $file =~ m{([^/]+)$};
	for my $kind (sort keys %kinds)
	{
		with($file, $kind, sub {
			like(error_within("SELECT rag_embed('a')"), qr/^F0000: could not read .*(no regular file|somewhere else|larger than)/, "$kind as $name");
			is(error_within("SELECT count(*) FROM rag.model"), "no error: 1\n", '... and the view of models') unless $name eq 'current';
		});
	}
}
# Links inside of the directory are followed, as those of a hub's cache, and so is one to a model's own directory.
move("$models/tiny/$current/tokenizer.json", "$models/tiny/blob");
symlink "../blob", "$models/tiny/$current/tokenizer.json" or die $!;
like(error_within("SELECT rag_embed('a')"), qr/^no error/, 'a link within the directory of models');
move("$models/tiny", "$tmp/moved");
symlink "$tmp/moved", "$models/tiny" or die $!;
like(error_within("SELECT rag_embed('a')"), qr/^no error/, 'a link to the directory of a model');

# A graph that names another file, with its manifest to match.
{
	my $secret = $node->data_dir . '/secret';
	append_to_file($secret, 'x' x 4096);
	my $directory = "$tmp/moved/$current";
	copy("$directory/model.onnx", "$directory/kept") or die $!;
	# A tensor more, of graph (7) and initializer (5): its external_data (13).
	my $tensor = "\x6a\x08\x0a\x00\x12\x04xxxx";
	my $graph = "\x2a" . chr(length $tensor) . $tensor;
	append_to_file("$directory/model.onnx", "\x3a" . chr(length $graph) . $graph);
	my $sha256 = `sha256sum "$directory/model.onnx"`;
	$sha256 =~ s/ .*//s;
	my $manifest = slurp_file("$directory/manifest.json");
	copy("$directory/manifest.json", "$directory/manifest.kept") or die $!;
	(my $changed = $manifest) =~ s/("model_sha256"\s*:\s*")\w+/$1$sha256/;
	unlink "$directory/manifest.json";
	append_to_file("$directory/manifest.json", $changed);
	like(error_within("SELECT rag_embed('a')"), qr/^F0000: model "tiny" is damaged: "model.onnx" keeps weights in another file|fingerprint/, 'a graph with weights elsewhere');
	move("$directory/kept", "$directory/model.onnx");
	move("$directory/manifest.kept", "$directory/manifest.json");
}

# Keys, authorities, the runtime.
my $key = "$tmp/key";
append_to_file($key, 'sk-1');
chmod 0600, $key;
$node->safe_psql('postgres', "SELECT rag_create_credential('key', 'http://127.0.0.1:9/v1', file => '$key');
	SELECT rag_create_model('far', 'embedder', 'openai', url => 'http://127.0.0.1:9/v1', credential => 'key', dimensions => 8)");
for my $kind (sort keys %kinds)
{
	with($key, $kind, sub { like(error_within("SELECT rag_embed('a', 'far')"), qr/^F0000: could not read credential "key" .*(no regular file|symbolic link|larger than)/, "$kind as a key"); });
	next if $kind eq 'a file elsewhere';
	with("$tmp/ca", $kind, sub { like(error_within("SET rag_pg.ca_file = '$tmp/ca'; SELECT rag_embed('a', 'far')"), qr/^F0000: could not read "$tmp\/ca" .*(no regular file|larger than)/, "$kind as authorities"); });
	with("$tmp/so", $kind, sub { like(error_within("SET rag_pg.onnxruntime_path = '$tmp/so'; SELECT rag_embed('a')"), qr/^F0000: could not load ONNX Runtime/, "$kind as the runtime"); });
}

# A server starts and stops all the same, and a session ends when it is told to.
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'rag_pg'");
for my $kind ('a pipe', '20 GB', 'a device')
{
	for my $file (qw(tokenizer.json model.onnx))
	{
		with("$tmp/moved/$current/$file", $kind, sub {
			my $took = seconds { $node->restart; };
			cmp_ok($took, '<', 15, sprintf "with $kind as $file the server restarts in %.1f s", $took);
		});
	}
}
$node->stop('fast');
done_testing();
