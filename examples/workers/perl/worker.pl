#!/usr/bin/perl
# A stoker worker in Perl: three kinds of jobs, and every kind of reply.
#
#     {"kind": "words", "text": "to be or not"}      {"characters": 12, "words": 4, "longest": "not"}
#     {"kind": "factor", "n": 600851475143}          {"factors": [71, 839, 1471, 6857]}
#     {"kind": "count", "path": "/etc/services"}     {"lines": 361, "bytes": 12813}
#
# Try it by hand:  echo '{"id":"1","payload":{"kind":"factor","n":360}}' | perl worker.pl
use strict;
use warnings;
use Errno ();
use IO::Handle;
use JSON::PP ();    # comes with Perl; JSON::XS has the same interface, and is fifty times as fast

use constant {
    PIECE      => 8 * 1024 * 1024,           # bytes of a file between two words about progress
    MAX_SAFE   => 2**53 - 1,                 # beyond it other languages round, those that submit jobs included
    MAX_LOAD   => $ENV{MAX_LOAD} // 50,      # above it, files are left for later
    LATER_SECS => 30,
};

my $json  = JSON::PP->new->utf8->max_depth(10_000);
my %kinds = (words => \&words, factor => \&factor, count => \&count);

# The real stdout is for replies alone. What else is printed, by a library in C or a child too, goes to the log.
open(my $replies, '>&', \*STDOUT) or die "no stdout: $!";
open(STDOUT, '>&', \*STDERR) or die "no stderr: $!";
$replies->autoflush(1);    # a reply that sits in a buffer was never sent

sub send_reply { my ($id, %reply) = @_; print {$replies} $json->encode({ id => $id, %reply }), "\n" }

# Dying with a hash chooses the reply; any other death may pass, and the queue's backoff tries again.
sub refuse { die { status => 'error', message => $_[0], retry => JSON::PP::false } }

sub words {
    my ($payload) = @_;
    my $text = $payload->{text};
    refuse('text: expected a string') if !defined $text || ref $text;
    my @words   = split ' ', $text;
    my $longest = '';
    for my $word (@words) { $longest = $word if length $word > length $longest }
    return { characters => length $text, words => scalar @words, longest => $longest };
}

sub factor {
    my ($payload) = @_;
    my $n = $payload->{n} // '';
    refuse('n: expected a whole number from 1 to 2^53 - 1')    # true is an object here, that looks like 1
        if ref $n || $n !~ /\A[1-9][0-9]{0,15}\z/a || $n > MAX_SAFE;
    my @factors;
    for (my $p = 2; $p * $p <= $n; $p += $p == 2 ? 1 : 2) {
        for (; $n % $p == 0; $n /= $p) { push @factors, $p }
    }
    push @factors, $n + 0 if $n > 1;    # + 0: a number that was matched as text is written as text
    return { factors => \@factors };
}

sub count {
    my ($payload, $progress) = @_;
    my $path = $payload->{path};
    refuse('path: expected the name of a file') if !defined $path || ref $path || $path =~ /\0/;
    die { status => 'throttled', retry_after_secs => LATER_SECS } if busy();
    utf8::encode(my $name = $path);     # a file's name is bytes, the payload's text is characters
    open(my $file, '<:raw', $name) or cannot_read($path);
    my $total = -s $file;
    my ($lines, $bytes) = (0, 0);
    while (my $read = sysread($file, my $piece, PIECE) // cannot_read($path)) {
        $lines += $piece =~ tr/\n//;
        $bytes += $read;
        $progress->(progress => $total ? $bytes / $total : undef, done => $bytes, total => $total) if $read == PIECE;
    }
    return { lines => $lines, bytes => $bytes };
}

sub busy {
    open(my $loadavg, '<', '/proc/loadavg') or return 0;    # not on Linux
    return (split ' ', <$loadavg>)[0] >= MAX_LOAD;
}

sub cannot_read {
    my ($path) = @_;
    my $for_good = $!{ENOENT} || $!{ENOTDIR} || $!{EISDIR};
    die { status => 'error', message => "$path: $!", retry => $for_good ? JSON::PP::false : JSON::PP::true };
}

sub run {
    my ($payload, $progress) = @_;
    my $kind = ref $payload eq 'HASH' ? $payload->{kind} // '' : '';
    my $perform = $kinds{$kind} or refuse('kind: expected one of ' . join ', ', sort keys %kinds);
    return $perform->($payload, $progress);
}

while (my $line = <STDIN>) {    # ends when stoker closes stdin: time to go
    my $request = $json->decode($line);
    my $id      = $request->{id};
    my $result  = eval { run($request->{payload}, sub { send_reply($id, status => 'progress', @_) }) };
    if    ($result) { send_reply($id, status => 'ok', result => $result) }
    elsif (ref $@)  { send_reply($id, %{$@}) }
    else            { send_reply($id, status => 'error', message => "$@") }
}
