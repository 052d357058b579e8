// A stoker worker in Go: three kinds of jobs, and every kind of reply.
//
//	{"kind": "words", "text": "to be or not"}      {"characters": 12, "words": 4, "longest": "not"}
//	{"kind": "factor", "n": 600851475143}          {"factors": [71, 839, 1471, 6857]}
//	{"kind": "count", "path": "/etc/services"}     {"lines": 361, "bytes": 12813}
//
// Build and try:  go build worker.go && echo '{"id":"1","payload":{"kind":"factor","n":360}}' | ./worker
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"strconv"
	"strings"
	"syscall"
	"unicode/utf8"
)

const (
	piece     = 8 << 20   // bytes of a file between two words about progress
	maxSafe   = 1<<53 - 1 // beyond it other languages round, those that submit jobs included
	laterSecs = 30
)

type request struct {
	ID      string          `json:"id"`
	Payload json.RawMessage `json:"payload"`
}

type reply struct {
	ID             string   `json:"id"`
	Status         string   `json:"status"`
	Result         any      `json:"result,omitempty"`
	Message        string   `json:"message,omitempty"`
	Retry          *bool    `json:"retry,omitempty"` // a pointer, since omitempty would leave out false
	RetryAfterSecs int      `json:"retry_after_secs,omitempty"`
	Progress       *float64 `json:"progress,omitempty"`
	Done           int64    `json:"done,omitempty"`
	Total          int64    `json:"total,omitempty"`
}

// refused says that the payload is at fault: it will fail the same way every time.
type refused string

func (r refused) Error() string { return string(r) }

var errBusy = errors.New("busy") // not now, and nobody's fault

type progressFunc func(done, total int64)

var kinds = map[string]func(json.RawMessage, progressFunc) (any, error){
	"words":  words,
	"factor": factor,
	"count":  count,
}

func words(payload json.RawMessage, _ progressFunc) (any, error) {
	var job struct{ Text *string } // a pointer: null and a missing member are told from ""
	if json.Unmarshal(payload, &job) != nil || job.Text == nil {
		return nil, refused("text: expected a string")
	}
	found := strings.Fields(*job.Text)
	longest := ""
	for _, word := range found {
		if utf8.RuneCountInString(word) > utf8.RuneCountInString(longest) {
			longest = word
		}
	}
	return struct {
		Characters int    `json:"characters"`
		Words      int    `json:"words"`
		Longest    string `json:"longest"`
	}{utf8.RuneCountInString(*job.Text), len(found), longest}, nil
}

func factor(payload json.RawMessage, _ progressFunc) (any, error) {
	var job struct{ N int64 }
	if json.Unmarshal(payload, &job) != nil || job.N < 1 || job.N > maxSafe {
		return nil, refused("n: expected a whole number from 1 to 2^53 - 1")
	}
	factors := []int64{} // not nil, which would be written as null
	n := job.N
	for p := int64(2); p <= n/p; p += 1 + p&1 { // 2, 3, 5, 7, 9 …
		for ; n%p == 0; n /= p {
			factors = append(factors, p)
		}
	}
	if n > 1 {
		factors = append(factors, n)
	}
	return map[string]any{"factors": factors}, nil
}

func count(payload json.RawMessage, progress progressFunc) (any, error) {
	var job struct{ Path string }
	if json.Unmarshal(payload, &job) != nil || strings.ContainsRune(job.Path, 0) {
		return nil, refused("path: expected the name of a file")
	}
	if busy() {
		return nil, errBusy
	}
	file, err := os.Open(job.Path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	var lines, size int64
	buffer := make([]byte, piece)
	for {
		read, err := io.ReadFull(file, buffer)
		lines += int64(bytes.Count(buffer[:read], []byte{'\n'}))
		size += int64(read)
		switch {
		case err == io.EOF || err == io.ErrUnexpectedEOF:
			return map[string]any{"lines": lines, "bytes": size}, nil
		case err != nil:
			return nil, err
		}
		progress(size, info.Size())
	}
}

func busy() bool {
	limit, err := strconv.ParseFloat(os.Getenv("MAX_LOAD"), 64)
	if err != nil {
		limit = 50
	}
	text, _ := os.ReadFile("/proc/loadavg") // Linux only; elsewhere it is never busy
	first, _, _ := strings.Cut(string(text), " ")
	load, err := strconv.ParseFloat(first, 64)
	return err == nil && load >= limit
}

// run does one job. A panic in it is this job's failure, not the worker's end.
func run(payload json.RawMessage, progress progressFunc) (result any, err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			err = fmt.Errorf("panic: %v", panicked)
		}
	}()
	var job struct{ Kind string }
	_ = json.Unmarshal(payload, &job) // what is no object has no kind
	perform, ok := kinds[job.Kind]
	if !ok {
		return nil, refused("kind: expected words, factor or count")
	}
	return perform(payload, progress)
}

func answer(id string, result any, err error) reply {
	never := false
	var refusal refused
	switch {
	case err == nil:
		return reply{ID: id, Status: "ok", Result: result}
	case err == errBusy:
		return reply{ID: id, Status: "throttled", RetryAfterSecs: laterSecs}
	case errors.As(err, &refusal), errors.Is(err, fs.ErrNotExist),
		errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EISDIR):
		return reply{ID: id, Status: "error", Message: err.Error(), Retry: &never}
	default: // whatever else it is may pass: the queue's backoff tries again
		return reply{ID: id, Status: "error", Message: err.Error()}
	}
}

func main() {
	// The real stdout is for replies alone; a stray fmt.Println goes to the log.
	replies := json.NewEncoder(os.Stdout) // writes each reply at once, with its newline
	os.Stdout = os.Stderr
	log.SetFlags(0) // the daemon's log has the time

	send := func(r reply) {
		if err := replies.Encode(r); err != nil {
			log.Fatal(err)
		}
	}
	requests := bufio.NewReader(os.Stdin) // not a Scanner, whose lines end at 64 KiB
	for {
		line, err := requests.ReadBytes('\n')
		if err != nil { // stoker has closed stdin: time to go
			return
		}
		var req request
		if err := json.Unmarshal(line, &req); err != nil {
			log.Fatalf("not a request: %v", err)
		}
		result, err := run(req.Payload, func(done, total int64) {
			step := reply{ID: req.ID, Status: "progress", Done: done, Total: total}
			if total > 0 {
				share := float64(done) / float64(total)
				step.Progress = &share
			}
			send(step)
		})
		send(answer(req.ID, result, err))
	}
}
