#!/usr/bin/perl
# A stoker worker: sums up a web server's access log (common or combined format).
#
#     payload   {"path": "/var/log/nginx/access.log"}   or   {"lines": ["127.0.0.1 - - [10/Oct/2000…", …]}
#     result    {"requests": 3, "bytes": 4523, "status": {"200": 2, "404": 1}, "not_understood": 0, "top": [["/", 2], …]}
#
# Try it by hand:  echo '{"id":"1","payload":{"path":"/var/log/nginx/access.log"}}' | perl worker.pl
use strict;
use warnings;
use utf8;    # of this source: its messages have … in them
use JSON::PP;

my $json = JSON::PP->new->utf8->canonical;
my $USAGE = 'the payload must be {"path": "…"} or {"lines": […]}';
my $REQUEST = qr{ "[A-Z]+ \s (\S+) [^"]*" \s (\d{3}) \s (\d+|-) }x;

# stdout belongs to the replies and is flushed after each; a plain `print`, ours or a module's, goes to the log.
open(my $replies, '>&', \*STDOUT) or die "no stdout: $!";
$replies->autoflush(1);
select STDERR;

# Dying with a hash chooses the reply: the same payload fails the same way tomorrow. Any other death may be repeated.
sub refuse { die { status => 'error', message => $_[0], retry => JSON::PP::false } }

sub lines_of {
    my ($payload) = @_;
    refuse($USAGE) unless ref $payload eq 'HASH';
    if (ref $payload->{lines} eq 'ARRAY') {
        my @lines = grep { defined } @{ $payload->{lines} };
        return sub { shift @lines };
    }
    my $path = $payload->{path};
    refuse($USAGE) if !defined $path || ref $path;
    utf8::encode(my $bytes = $path);    # a file name is bytes; the payload's text is characters
    refuse("$path is a folder") if -d $bytes;
    open(my $log, '<:encoding(UTF-8)', $bytes) or refuse("cannot read $path: $!");
    return sub { scalar <$log> };
}

sub summary {
    my ($next) = @_;
    my ($requests, $bytes, $not_understood, %status, %path) = (0, 0, 0);
    while (defined(my $line = $next->())) {
        if ($line =~ $REQUEST) {
            $requests++;
            $path{$1}++;
            $status{$2}++;
            $bytes += $3 eq '-' ? 0 : $3;
        }
        else { $not_understood++ }
    }
    my @top = sort { $path{$b} <=> $path{$a} || $a cmp $b } keys %path;
    splice @top, 5 if @top > 5;
    return {
        requests => $requests,
        bytes    => $bytes,
        status   => \%status,
        top      => [ map { [ $_, $path{$_} ] } @top ],
        not_understood => $not_understood,
    };
}

while (my $line = <STDIN>) {    # ends when stoker closes stdin: time to go
    my $request = $json->decode($line);
    my $reply = eval { { status => 'ok', result => summary(lines_of($request->{payload})) } };
    $reply //= ref $@ ? $@ : { status => 'error', message => "$@" };
    print {$replies} $json->encode({ %$reply, id => $request->{id} }), "\n";
}
