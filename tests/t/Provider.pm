# A provider of remote models on the loopback interface, driven by faults: see tests/provider/server.rs.
#
#   my $provider = Provider->start;      # undef where its program is not built; it ends after ten minutes, or so many seconds
#   $provider->script({ status => 429 }, 'hang');   # the next requests, forgetting those so far
#   $provider->always('hang');           # every request from now on; undef: answer well
#   $provider->requests                  # those so far, each with path, headers, body, at
package Provider;

use strict;
use warnings;

use HTTP::Tiny;
use IPC::Run ();
use JSON::PP;

sub start
{
	my ($class, $seconds) = @_;
	$seconds //= 600;
	my $program = $ENV{RAG_PG_PROVIDER};
	return unless $program && -x $program;
	my ($in, $out) = ('', '');
	my $self = bless { in => \$in, out => \$out, http => HTTP::Tiny->new(timeout => 10) }, $class;
	$self->{handle} = IPC::Run::start([ $program, $seconds ], '<', \$in, '>', \$out, IPC::Run::timer($seconds + 300));
	$self->{handle}->pump until $out =~ /\n/;
	chomp $out;
	$self->{address} = $out;
	return $self;
}

# address: its host and port.
sub address { return $_[0]{address}; }

sub control
{
	my ($self, $what, $value) = @_;
	my $body = @_ > 2 ? JSON::PP->new->allow_nonref->encode($value) : '{}';
	my $reply = $self->{http}->post("http://$self->{address}/control/$what", { content => $body });
	die "provider: $reply->{status} $reply->{content}" unless $reply->{success};
	return decode_json($reply->{content});
}

sub script { my ($self, @faults) = @_; return $self->control('script', \@faults); }

sub always { my ($self, $fault) = @_; return $self->control('always', $fault); }

sub requests { return @{ $_[0]->control('log')->{requests} }; }

# count: has it count, from now on, how often it embeds each text well, instead of keeping requests.
sub count { $_[0]->control('count'); return; }

# counted: how many texts that were (texts), and of those embedded more than once, when (again).
sub counted { return $_[0]->control('counted'); }

# open_connections: those that are open now, this module's own left out.
sub open_connections { return $_[0]->control('log')->{open} - 1; }

sub stop { $_[0]{handle}->kill_kill; return; }

1;
