#!/usr/bin/env tclsh
# A stoker worker in Tcl 8.6: three kinds of jobs, and every kind of reply.
#
#     {"kind": "words", "text": "to be or not"}      {"characters": 12, "words": 4, "longest": "not"}
#     {"kind": "factor", "n": 600851475143}          {"factors": [71, 839, 1471, 6857]}
#     {"kind": "count", "path": "/etc/services"}     {"lines": 361, "bytes": 12813}
#
# JSON by tDOM (Debian: tdom), which knows a string from a number; to json::json2dict of tcllib null and "null" are one.
# Try it by hand:  echo '{"id":"1","payload":{"kind":"factor","n":360}}' | tclsh worker.tcl
package require Tcl 8.6
package require tdom

set PIECE [expr {8 * 1024 * 1024}] ;# bytes of a file between two words about progress
set MAX_SAFE [expr {2**53 - 1}] ;# beyond it other languages round, those that submit jobs included
set MAX_LOAD [expr {[info exists env(MAX_LOAD)] ? $env(MAX_LOAD) : 50}] ;# above it, files are left for later
set LATER_SECS 30
set PERMANENT {ENOENT ENOTDIR EISDIR}

# UTF-8, whatever the locale is, and a line ends at its line feed.
encoding system utf-8 ;# of file names
fconfigure stdin -encoding utf-8 -translation lf
fconfigure stdout -encoding utf-8 -translation lf -buffering full

# stdout is for replies alone; a plain puts, ours or a package's, goes to the log.
rename puts tcl_puts
proc puts {args} {
    set last [lindex $args end]
    switch -glob -- [llength $args],[lindex $args 0] {
        1,* { tcl_puts stderr $last }
        2,-nonewline { tcl_puts -nonewline stderr $last }
        default { tcl_puts {*}$args }
    }
}

# Replies are written as scripts: `status {string ok}` adds a member, with its JSON type.
namespace eval reply {
    dom createNodeCmd -jsonType STRING textNode string
    dom createNodeCmd -jsonType NUMBER textNode number
    dom createNodeCmd -jsonType FALSE textNode no
    foreach member {id status message retry retry_after_secs progress done total characters words longest lines bytes} {
        dom createNodeCmd elementNode $member
    }
    dom createNodeCmd -jsonType OBJECT elementNode result
    dom createNodeCmd -jsonType ARRAY elementNode factors
}
proc send {id script} {
    set doc [dom createDocumentNode]
    namespace eval reply [list $doc appendFromScript "id {string [list $id]}; $script"]
    tcl_puts stdout [$doc asJSON]
    flush stdout ;# a reply that sits in a buffer was never sent
    $doc delete
}

# The value of a member of the payload if it has this JSON type; throws REFUSED otherwise.
proc member {request name type expected} {
    set node [$request selectNodes "/payload\[last()\]/$name\[last()\]/text()"]
    if {$node eq "" || [$node jsonType] ne $type} { refuse "$name: expected $expected" }
    return [$node nodeValue]
}

proc refuse {message} { throw REFUSED $message } ;# the payload is at fault: it will fail the same way every time

# Tcl 8.6 keeps 🔥 as two halves; a character has one half that comes second, or none.
proc characters {text} { regexp -all {[^\uDC00-\uDFFF]} $text }

proc words {request id} {
    set text [member $request text STRING "a string"]
    set words [regexp -all -inline {\S+} $text]
    set longest ""
    set most 0
    foreach word $words {
        set length [characters $word]
        if {$length > $most} { set most $length; set longest $word }
    }
    return "characters {number [characters $text]}; words {number [llength $words]}; longest {string [list $longest]}"
}

proc factor {request id} {
    global MAX_SAFE
    set expected "a whole number from 1 to 2^53 - 1"
    set n [member $request n NUMBER $expected]
    if {![string is entier -strict $n] || $n < 1 || $n > $MAX_SAFE} { refuse "n: expected $expected" }
    set factors {}
    for {set p 2} {$p * $p <= $n} {incr p [expr {$p == 2 ? 1 : 2}]} {
        for {} {$n % $p == 0} {set n [expr {$n / $p}]} { append factors "number $p; " }
    }
    if {$n > 1} { append factors "number $n" }
    return "factors {$factors}"
}

proc count {request id} {
    global PIECE
    set path [member $request path STRING "the name of a file"]
    if {[string first \0 $path] >= 0} { refuse "path: expected the name of a file" }
    if {[busy]} { throw BUSY "" }
    # `open` runs what begins with | as a command, and ~ is somebody's home.
    if {![string match /* $path]} { set path ./$path }
    set total [file size $path]
    set file [open $path rb]
    try {
        for {set lines 0; set bytes 0} {[set piece [read $file $PIECE]] ne ""} {} {
            incr lines [regexp -all {\n} $piece]
            incr bytes [string length $piece]
            if {[string length $piece] < $PIECE} continue
            set share [expr {$total > 0 ? "progress {number [expr {double($bytes) / $total}]};" : ""}]
            send $id "status {string progress}; $share done {number $bytes}; total {number $total}"
        }
    } finally {
        close $file
    }
    return "lines {number $lines}; bytes {number $bytes}"
}

proc busy {} {
    if {[catch {open /proc/loadavg} file]} { return 0 } ;# not on Linux
    set load [lindex [gets $file] 0]
    close $file
    return [expr {$load >= $::MAX_LOAD}]
}

proc answer {request id} {
    set kind [member $request kind STRING "words, factor or count"]
    if {$kind ni {words factor count}} { refuse "kind: expected words, factor or count" }
    return "status {string ok}; result {[$kind $request $id]}"
}

# What an error says of itself is a list: {POSIX ENOENT {no such file or directory}}
proc failure {message code} {
    set for_good [expr {[lindex $code 0] eq "REFUSED" || [lindex $code 1] in $::PERMANENT}]
    return "status {string error}; message {string [list $message]}; [expr {$for_good ? "retry {no false}" : ""}]"
}

while {[gets stdin line] >= 0} { ;# ends when stoker closes stdin: time to go
    set request [dom parse -json $line]
    set id [$request selectNodes {string(/id[last()])}]
    try {
        set reply [answer $request $id]
    } trap BUSY {} {
        set reply "status {string throttled}; retry_after_secs {number $LATER_SECS}"
    } on error {message details} { ;# whatever is not for good may pass: the queue's backoff tries again
        set reply [failure $message [dict get $details -errorcode]]
    }
    send $id $reply
    $request delete
}
