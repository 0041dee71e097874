#!/usr/bin/perl
# Stands in for rag-extract, and misbehaves where the file says so: a file that begins with "!WORD " does what WORD says. Any other
# file is text whose pages end at form feeds; a page may begin with a line of metadata, "{...}". A file that begins with "%NAME "
# is refused with that class of errors.
use strict;
use warnings;
use JSON::PP;
use POSIX ();
use Time::HiRes qw(sleep);

binmode STDIN;
binmode STDOUT;
$| = 1;
my $json = JSON::PP->new->utf8->canonical;

sub frame
{
	my ($value) = @_;
	my $text = $json->encode($value);
	print STDOUT pack('N', length $text), $text;
	return;
}

sub document
{
	my (%more) = @_;
	frame({ document => { format => 'plain', pages => undef, metadata => {}, %more } });
	return;
}

my %option = @ARGV;
sysread(STDIN, my $start, 64);
$start //= '';
my ($word) = $start =~ /^!(\w+)/;
$word //= '';

# Before it has read the file.
if ($word eq 'hang') { sleep 1 while 1; }
if ($word eq 'spin') { 1 while 1; }
if ($word eq 'crash') { kill 'SEGV', $$; }
if ($word eq 'exit') { print STDERR "no more\n"; POSIX::_exit(3); }
if ($word eq 'silent') { POSIX::_exit(0); }
if ($word eq 'garbage') { print "\x00\x00\x00\x05hello" x 10; POSIX::_exit(0); }
if ($word eq 'flood') { document(); my $page = 1; frame({ page => $page++, content => 'x' x 1_000_000, metadata => {} }) while 1; }
if ($word eq 'huge') { print pack('N', 0xffffffff); sleep 1 while 1; }
if ($word eq 'complain') { print STDERR 'words ' x 100_000; POSIX::_exit(1); }
if ($word eq 'deaf') { close STDIN; document(); frame({ page => 1, content => 'read nothing', metadata => {} }); frame({ end => { pages => 1, characters => 12 } }); POSIX::_exit(0); }
if ($word eq 'memory') { my $size = 3_000_000_000; my $x = 'x' x $size; }
if ($word eq 'linger') { document(); frame({ page => 1, content => 'said all', metadata => {} }); frame({ end => { pages => 1, characters => 8 } }); sleep 1 while 1; }
if ($word eq 'fork') { my $pid = fork; document(); frame({ page => 1, content => defined $pid ? 'forked' : 'could not fork', metadata => {} }); frame({ end => { pages => 1, characters => 1 } }); POSIX::_exit(0); }

my $file = $start;
while (sysread(STDIN, my $piece, 1 << 20)) { $file .= $piece; }
if ($file =~ /^%(\w+) ?(.*)/)
{
	frame({ error => { class => $1, message => $2, detail => undef } });
	exit 0;
}
if ($word eq 'inside')
{
	# What a program of the server's sees of it.
	opendir(my $directory, '/proc/self/fd') or die $!;
	my @open = grep { /^\d+$/ && $_ > 2 && readlink("/proc/self/fd/$_") !~ m{^/proc/} } readdir $directory;
	my ($limits) = do { local (@ARGV, $/) = '/proc/self/limits'; <> };
	my %limit = map { /^Max (.*?)\s{2,}(\S+)/ ? ($1 => $2) : () } split /\n/, $limits;
	my ($status) = do { local (@ARGV, $/) = '/proc/self/status'; <> };
	my ($blocked) = $status =~ /^SigBlk:\s+(\S+)/m;
	my ($ignored) = $status =~ /^SigIgn:\s+(\S+)/m;
	my ($new) = $status =~ /^NoNewPrivs:\s+(\S+)/m;
	$file = "descriptors " . join(',', @open) . "; environment " . join(',', sort keys %ENV)
	  . "; files $limit{'file size'}; processes $limit{processes}; core $limit{'core file size'}; time $limit{'cpu time'}"
	  . "; blocked $blocked; ignored $ignored; privileges $new";
}
if ($word eq 'arguments') { $file = join ' ', map { "$_=$option{$_}" } grep { !/max-memory/ } sort keys %option; }
if ($word eq 'slow')
{
	my ($pages) = $file =~ /^!slow (\d+)/;
	document(pages => 0 + $pages);
	for my $page (1 .. $pages) { sleep 0.2; frame({ page => $page, content => "Page number $page of a slow document.", metadata => {} }); }
	frame({ end => { pages => 0 + $pages, characters => 1 } });
	exit 0;
}
utf8::decode($file);
my @pages = split /\f/, $file, -1;
my %document = (pages => scalar @pages);
$document{metadata} = { title => $1 } if $file =~ /^Title: (.*)\n/;
document(%document);
my ($number, $characters) = (0, 0);
for my $page (@pages)
{
	my $metadata = {};
	$metadata = JSON::PP->new->decode($1) if $page =~ s/^(\{.*?\})\n//;
	$characters += length $page;
	frame({ page => ++$number, content => $page, metadata => $metadata });
}
frame({ end => { pages => $number, characters => $characters } });
