;; The shim's own memory, and the moves between it and the actor's: a module of its own, because C has no words
;; for a second memory. At most 65519 pages, so that no size in the shim overflows.
(module
  (import "actor" "memory" (memory $actor 0))
  (memory $own (export "memory") 2 65519)
  (func (export "write") (param $to i32) (param $from i32) (param $size i32)
    (memory.copy $actor $own (local.get $to) (local.get $from) (local.get $size)))
  (func (export "read") (param $to i32) (param $from i32) (param $size i32)
    (memory.copy $own $actor (local.get $to) (local.get $from) (local.get $size)))
  (func (export "word") (param $at i32) (result i32)
    (i32.load $actor (local.get $at)))
  (func (export "pages") (result i32)
    (memory.size $actor))
  ;; For an actor without a post-return function.
  (func (export "release") (param $result i32)))
