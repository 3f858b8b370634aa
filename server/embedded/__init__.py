"""Reference implementations of M2-M10: real gRPC services, started by `make run`.

stt, tts, intent, planner, safety, browser, os, search, memory   a package for each service; mind: the planner's language model

host        the process of them all: one gRPC server and port each
service     the interface between a service and its host
fallback    what is used where a part that was asked for is missing or broken
executor    what the browser, OS and search executors share
trunk       the server side of a trunk
calls       unary calls in a trunk: CallMany, for any service
callers     who calls: for log lines and fair shares
fairness    fair shares of threads and processes among users
tracing     spans in the callers' traces
addresses   what a web address reaches: the internet, this machine, its network
neighbours  which public addresses are of this machine's network
normal_forms  Unicode's normal forms, in linear time
spelling    British and American spelling, as one
secret_names  what usually holds secrets, by its name: neither opened by commands nor indexed
risky_words  words on a button that safety asks about, which the browser looks for too
telling     the words of a query that carry its meaning
"""
