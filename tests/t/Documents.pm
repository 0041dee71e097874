# Blocks of code of a document, so that tests run what readers see.
package Documents;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT = qw(blocks);

# blocks($file): its fenced blocks in order, each a hash reference: section (text of the last heading of the second level
# before it), info (what stands behind the fence's backquotes: the language, then options), text (without the indent of an item of a
# list), line (of its first line), follows (whether nothing stands between it and the block before).
sub blocks
{
	my ($file) = @_;
	my ($section, $line, $follows, $open, @blocks) = ('', 0, 0);
	open my $lines, '<:encoding(UTF-8)', $file or die "cannot read $file: $!";
	while (my $text = <$lines>)
	{
		$line++;
		if ($text =~ /^( *)```(.*?)\s*$/)
		{
			if ($open) { push @blocks, $open; undef $open; $follows = 1; }
			else { $open = { section => $section, indent => $1, info => $2, text => '', line => $line + 1, follows => $follows }; }
		}
		elsif ($open) { $open->{text} .= $text =~ s/^$open->{indent}//r; }
		else
		{
			$section = $1 if $text =~ /^## (.*?)\s*$/;
			$follows = 0 if $text =~ /\S/;
		}
	}
	die "$file: a block in line $open->{line} has no end" if $open;
	return @blocks;
}

1;
