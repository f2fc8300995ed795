(module
  (type (;0;) (func (param i32 i32 i32 i32) (result i32)))
  (type (;1;) (func (param i32 i32 i32)))
  (type (;2;) (func (result i32)))
  (type (;3;) (func (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (type (;4;) (func (param i32) (result i32)))
  (type (;5;) (func (param i32 i32 i32) (result i32)))
  (type (;6;) (func (param i32)))
  (type (;7;) (func))
  (type (;8;) (func (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (type (;9;) (func (param i32 i32 i32 i32)))
  (import "env" "memory" (memory (;0;) 1 65519))
  (import "actor" "realloc" (func (;0;) (type 0) (param i32 i32 i32 i32) (result i32)))
  (import "memory" "write" (func (;1;) (type 1) (param i32 i32 i32)))
  (import "message" "data-at" (func (;2;) (type 2) (result i32)))
  (import "message" "text-at" (func (;3;) (type 2) (result i32)))
  (import "message" "handle" (func (;4;) (type 3) (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "memory" "pages" (func (;5;) (type 2) (result i32)))
  (import "memory" "word" (func (;6;) (type 4) (param i32) (result i32)))
  (import "memory" "read" (func (;7;) (type 1) (param i32 i32 i32)))
  (import "message" "size" (func (;8;) (type 2) (result i32)))
  (import "memory" "same" (func (;9;) (type 5) (param i32 i32 i32) (result i32)))
  (import "message" "kind-at" (func (;10;) (type 2) (result i32)))
  (import "message" "kinds" (func (;11;) (type 2) (result i32)))
  (import "message" "payloads" (func (;12;) (type 2) (result i32)))
  (import "actor" "release" (func (;13;) (type 6) (param i32)))
  (table (;0;) 1 1 funcref)
  (global (;0;) (mut i32) i32.const 4096)
  (export "cabi_realloc" (func 15))
  (export "call" (func 17))
  (start 14)
  (func (;14;) (type 7)
    i32.const 4116
    i32.const 0
    i32.const 48
    memory.fill
  )
  (func (;15;) (type 0) (param i32 i32 i32 i32) (result i32)
    block ;; label = @1
      local.get 0
      i32.eqz
      br_if 0 (;@1;)
      unreachable
    end
    local.get 3
    call 16
  )
  (func (;16;) (type 4) (param i32) (result i32)
    (local i32 i64)
    block ;; label = @1
      i32.const 0
      i32.load offset=4152
      local.tee 1
      br_if 0 (;@1;)
      i32.const 4176
      local.set 1
      i32.const 0
      i32.const 4176
      i32.store offset=4152
      i32.const 0
      i32.const 4176
      i32.store offset=4116
    end
    block ;; label = @1
      block ;; label = @2
        local.get 1
        i64.extend_i32_u
        local.get 0
        i64.extend_i32_u
        i64.add
        local.tee 2
        memory.size
        local.tee 0
        i64.extend_i32_u
        i64.const 16
        i64.shl
        i64.le_u
        br_if 0 (;@2;)
        local.get 2
        i64.const 4293918721
        i64.ge_u
        br_if 1 (;@1;)
        local.get 2
        i64.const 65535
        i64.add
        i64.const 16
        i64.shr_u
        i32.wrap_i64
        local.get 0
        i32.sub
        memory.grow
        i32.const -1
        i32.eq
        br_if 1 (;@1;)
      end
      i32.const 0
      local.get 2
      i64.store32 offset=4152
      local.get 1
      return
    end
    unreachable
  )
  (func (;17;) (type 8) (param i32 i32 i32 i32 i32 i32 i32) (result i32)
    (local i32 i32 i32 i32 i32 i32 i32 v128 i32 v128 i32 i64 i32)
    global.get 0
    i32.const 48
    i32.sub
    local.tee 7
    global.set 0
    local.get 0
    i32.const 1
    i32.and
    local.set 8
    block ;; label = @1
      local.get 0
      i32.const 64
      i32.and
      i32.eqz
      br_if 0 (;@1;)
      i32.const 0
      i32.const 0
      i32.store offset=4120
    end
    local.get 0
    i32.const 2
    i32.shr_u
    local.set 9
    i32.const 0
    local.set 10
    block ;; label = @1
      local.get 8
      i32.eqz
      br_if 0 (;@1;)
      i32.const 0
      i32.load offset=4116
      local.set 11
      block ;; label = @2
        block ;; label = @3
          local.get 0
          i32.const 16
          i32.and
          i32.eqz
          br_if 0 (;@3;)
          i32.const 0
          i32.load offset=4120
          local.set 2
          br 1 (;@2;)
        end
        i32.const 0
        local.get 2
        i32.const 1
        i32.shr_u
        local.tee 10
        local.get 2
        local.get 0
        i32.const 8
        i32.and
        local.tee 12
        select
        i32.store offset=4120
        block ;; label = @3
          local.get 12
          i32.eqz
          br_if 0 (;@3;)
          local.get 11
          local.get 1
          local.get 10
          call 18
          local.get 10
          local.set 2
          br 1 (;@2;)
        end
        local.get 2
        i32.eqz
        br_if 0 (;@2;)
        local.get 11
        local.get 1
        local.get 2
        memory.copy
      end
      i32.const 0
      i32.const 0
      i32.const 1
      local.get 2
      call 0
      local.tee 10
      local.get 11
      local.get 2
      call 1
    end
    local.get 0
    i32.const 1
    i32.shr_u
    local.set 1
    local.get 9
    i32.const 1
    i32.and
    local.set 2
    block ;; label = @1
      local.get 0
      i32.const 32
      i32.and
      i32.eqz
      br_if 0 (;@1;)
      local.get 5
      local.get 5
      local.get 6
      i32.const 1
      i32.shr_u
      local.tee 6
      call 18
    end
    local.get 1
    i32.const 1
    i32.and
    local.set 9
    i32.const 0
    local.set 11
    i32.const 0
    local.set 1
    block ;; label = @1
      local.get 2
      i32.eqz
      br_if 0 (;@1;)
      i32.const 0
      local.set 1
      call 2
      call 3
      i32.ge_u
      br_if 0 (;@1;)
      i32.const 0
      i32.const 0
      i32.const 1
      local.get 6
      call 0
      local.tee 1
      local.get 5
      local.get 6
      call 1
    end
    block ;; label = @1
      local.get 9
      i32.eqz
      br_if 0 (;@1;)
      i32.const 0
      i32.const 0
      i32.const 1
      local.get 4
      call 0
      local.tee 11
      local.get 3
      local.get 4
      call 1
    end
    block ;; label = @1
      local.get 2
      i32.eqz
      br_if 0 (;@1;)
      call 2
      call 3
      i32.le_u
      br_if 0 (;@1;)
      i32.const 0
      i32.const 0
      i32.const 1
      local.get 6
      call 0
      local.tee 1
      local.get 5
      local.get 6
      call 1
    end
    local.get 8
    local.get 10
    i32.const 0
    i32.load offset=4120
    i32.const 0
    local.get 8
    select
    local.get 0
    i32.const 8
    i32.shr_u
    local.get 9
    local.get 11
    local.get 4
    local.get 2
    local.get 1
    local.get 6
    call 4
    local.set 13
    i32.const 0
    i32.const 0
    i32.load offset=4116
    i32.const 0
    i32.load offset=4120
    i32.add
    i32.store offset=4152
    i32.const 0
    i32.const 0
    i32.store offset=4128
    i32.const 0
    i32.const 0
    i32.store8 offset=4140
    block ;; label = @1
      block ;; label = @2
        block ;; label = @3
          block ;; label = @4
            block ;; label = @5
              block ;; label = @6
                local.get 13
                i32.const 3
                i32.and
                i32.eqz
                br_if 0 (;@6;)
                i32.const 97
                local.set 0
                br 1 (;@5;)
              end
              local.get 13
              i64.extend_i32_u
              i64.const 24
              i64.add
              call 5
              i64.extend_i32_u
              i64.const 16
              i64.shl
              i64.le_u
              br_if 1 (;@4;)
              i32.const 0
              i32.load8_u offset=4140
              br_if 2 (;@3;)
              i32.const 112
              local.set 0
            end
            i32.const 0
            local.get 0
            i32.store8 offset=4140
            i32.const 0
            i32.const 0
            i32.store offset=4144
            i32.const 0
            i32.const 0
            i32.store offset=4148
            br 1 (;@3;)
          end
          block ;; label = @4
            block ;; label = @5
              block ;; label = @6
                local.get 13
                call 6
                i32.const 255
                i32.and
                local.tee 0
                i32.const 2
                i32.lt_u
                br_if 0 (;@6;)
                i32.const 0
                i32.load8_u offset=4140
                br_if 1 (;@5;)
                i32.const 0
                local.get 0
                i32.store offset=4144
                i32.const 0
                i32.const 100
                i32.store8 offset=4140
                i32.const 0
                i32.const 2
                i32.store offset=4148
                br 1 (;@5;)
              end
              local.get 0
              i32.eqz
              br_if 0 (;@5;)
              local.get 7
              i32.const 32
              i32.add
              local.get 13
              i32.const 4
              i32.add
              i32.const 1
              i32.const 115
              call 19
              i32.const 0
              i32.const 1
              call 16
              local.tee 0
              i32.store offset=4132
              local.get 0
              i32.const 49
              i32.store8
              local.get 7
              i32.load offset=32
              local.set 0
              local.get 7
              i32.load offset=36
              local.tee 6
              call 16
              local.get 0
              local.get 6
              call 7
              i32.const 0
              i32.load8_u offset=4140
              local.set 0
              br 1 (;@4;)
            end
            local.get 7
            i32.const 8
            i32.add
            local.get 13
            i32.const 4
            i32.add
            i32.const 108
            call 20
            local.get 7
            local.get 13
            i32.const 16
            i32.add
            call 8
            i32.const 108
            call 19
            i32.const 0
            i32.load8_u offset=4140
            local.set 0
            block ;; label = @5
              block ;; label = @6
                local.get 7
                i32.load8_u
                i32.const 3
                i32.and
                i32.eqz
                br_if 0 (;@6;)
                i32.const 48
                local.set 6
                local.get 0
                i32.const 255
                i32.and
                br_if 1 (;@5;)
                i32.const 0
                i32.const 101
                i32.store8 offset=4140
                i32.const 0
                i32.const 0
                i32.store offset=4144
                i32.const 0
                i32.const 0
                i32.store offset=4148
                br 1 (;@5;)
              end
              i32.const 48
              local.set 6
              local.get 0
              i32.const 255
              i32.and
              br_if 0 (;@5;)
              local.get 7
              i32.load offset=8
              i32.eqz
              br_if 0 (;@5;)
              local.get 7
              i32.load offset=16
              local.tee 9
              local.get 7
              i32.load offset=12
              local.tee 1
              i32.add
              local.set 5
              i32.const 0
              local.set 2
              i32.const 0
              i32.load offset=4116
              i32.const 0
              i32.load offset=4120
              local.tee 0
              i32.add
              local.set 10
              local.get 9
              local.get 0
              local.get 9
              local.get 0
              i32.lt_u
              select
              local.tee 6
              local.set 8
              block ;; label = @6
                block ;; label = @7
                  block ;; label = @8
                    local.get 6
                    i32.const 4096
                    i32.lt_u
                    br_if 0 (;@8;)
                    local.get 5
                    i32.const -4096
                    i32.add
                    local.set 2
                    local.get 10
                    i32.const -4096
                    i32.add
                    local.set 4
                    i32.const 0
                    local.set 0
                    loop ;; label = @9
                      local.get 2
                      local.get 0
                      i32.add
                      local.get 4
                      local.get 0
                      i32.add
                      i32.const 4096
                      call 9
                      i32.eqz
                      br_if 2 (;@7;)
                      local.get 6
                      local.get 0
                      i32.const -4096
                      i32.add
                      local.tee 0
                      i32.add
                      local.tee 8
                      i32.const 4095
                      i32.gt_u
                      br_if 0 (;@9;)
                    end
                    i32.const 0
                    local.get 0
                    i32.sub
                    local.set 2
                  end
                  local.get 6
                  local.get 2
                  local.get 5
                  local.get 6
                  i32.sub
                  local.get 10
                  local.get 6
                  i32.sub
                  local.get 8
                  call 21
                  select
                  local.set 5
                  br 1 (;@6;)
                end
                i32.const 0
                local.get 0
                i32.sub
                local.set 5
              end
              i32.const 0
              local.set 8
              i32.const 0
              i32.load offset=4120
              local.set 0
              block ;; label = @6
                local.get 5
                local.get 9
                i32.ne
                br_if 0 (;@6;)
                i32.const 51
                local.set 6
                local.get 9
                local.get 0
                i32.eq
                br_if 1 (;@5;)
              end
              local.get 9
              local.get 0
              local.get 9
              local.get 0
              i32.lt_u
              select
              local.get 5
              i32.sub
              local.tee 2
              local.set 0
              block ;; label = @6
                block ;; label = @7
                  local.get 2
                  i32.const 4096
                  i32.lt_u
                  br_if 0 (;@7;)
                  local.get 2
                  local.set 0
                  i32.const 0
                  local.set 8
                  loop ;; label = @8
                    local.get 1
                    local.get 8
                    i32.add
                    local.tee 6
                    i32.const 0
                    i32.load offset=4116
                    local.get 8
                    i32.add
                    i32.const 4096
                    call 9
                    i32.eqz
                    br_if 2 (;@6;)
                    local.get 8
                    i32.const 4096
                    i32.add
                    local.set 8
                    local.get 0
                    i32.const -4096
                    i32.add
                    local.tee 0
                    i32.const 4095
                    i32.gt_u
                    br_if 0 (;@8;)
                  end
                end
                local.get 2
                local.get 8
                local.get 8
                local.get 1
                i32.add
                i32.const 0
                i32.load offset=4116
                local.get 8
                i32.add
                local.get 0
                call 21
                select
                local.tee 8
                local.get 1
                i32.add
                local.set 6
              end
              i32.const 0
              local.set 1
              i32.const 0
              i32.const 0
              i32.load offset=4116
              i32.store offset=4152
              local.get 9
              call 16
              drop
              i32.const 0
              i32.load offset=4116
              local.get 8
              i32.add
              local.get 6
              local.get 9
              local.get 8
              i32.sub
              local.tee 0
              local.get 5
              i32.sub
              local.tee 4
              local.get 0
              local.get 9
              i32.const 0
              i32.load offset=4120
              i32.eq
              select
              call 7
              i32.const 0
              local.get 8
              i32.store offset=4156
              i32.const 0
              local.get 9
              i32.store offset=4120
              i32.const 0
              local.get 5
              i32.store offset=4160
              i32.const 0
              local.get 4
              i32.store offset=4128
              i32.const 0
              i32.const 0
              i32.load offset=4116
              local.tee 11
              local.get 8
              i32.add
              local.tee 2
              i32.store offset=4124
              block ;; label = @6
                block ;; label = @7
                  local.get 4
                  i32.const 16
                  i32.ge_u
                  br_if 0 (;@7;)
                  v128.const i32x4 0x00000000 0x00000000 0x00000000 0x00000000
                  local.set 14
                  i32.const 0
                  local.set 6
                  br 1 (;@6;)
                end
                v128.const i32x4 0x00000000 0x00000000 0x00000000 0x00000000
                local.set 14
                i32.const 0
                local.set 6
                loop ;; label = @7
                  local.get 6
                  local.tee 0
                  i32.const 16
                  i32.add
                  local.set 6
                  local.get 2
                  local.get 0
                  i32.add
                  v128.load align=1
                  local.get 14
                  v128.or
                  local.set 14
                  local.get 0
                  i32.const 32
                  i32.add
                  local.get 4
                  i32.le_u
                  br_if 0 (;@7;)
                end
              end
              local.get 8
              local.get 5
              i32.or
              local.set 10
              block ;; label = @6
                local.get 6
                local.get 4
                i32.ge_u
                br_if 0 (;@6;)
                local.get 11
                local.get 8
                local.get 6
                i32.add
                i32.add
                local.set 0
                local.get 9
                local.get 6
                i32.sub
                local.get 8
                i32.sub
                local.get 5
                i32.sub
                local.set 2
                i32.const 0
                local.set 6
                loop ;; label = @7
                  local.get 0
                  i32.load8_u
                  local.get 6
                  i32.or
                  i32.extend8_s
                  local.set 6
                  local.get 0
                  i32.const 1
                  i32.add
                  local.set 0
                  local.get 2
                  i32.const -1
                  i32.add
                  local.tee 2
                  br_if 0 (;@7;)
                end
                local.get 6
                i32.const 0
                i32.lt_s
                local.set 1
              end
              i32.const 52
              i32.const 49
              local.get 10
              select
              local.set 6
              block ;; label = @6
                local.get 1
                br_if 0 (;@6;)
                local.get 14
                i8x16.bitmask
                i32.eqz
                br_if 1 (;@5;)
              end
              i32.const 0
              local.get 4
              i32.const 1
              i32.shl
              local.tee 0
              i32.store offset=4128
              block ;; label = @6
                local.get 4
                i32.const -1
                i32.le_s
                br_if 0 (;@6;)
                i32.const 0
                local.get 0
                call 16
                local.tee 0
                i32.store offset=4124
                local.get 0
                i32.const 0
                i32.load offset=4116
                local.get 8
                i32.add
                local.get 4
                call 22
                local.get 6
                i32.const 1
                i32.add
                local.set 6
                br 1 (;@5;)
              end
              unreachable
            end
            i32.const 0
            i32.const 10
            call 16
            local.tee 0
            i32.store offset=4132
            local.get 0
            local.get 6
            i32.store8 offset=1
            local.get 0
            i32.const 48
            i32.store8
            local.get 0
            local.get 7
            i32.load offset=4
            local.tee 15
            i32.const 12
            i32.shr_u
            i32x4.splat
            local.get 15
            i32.const 8
            i32.shr_u
            i32x4.replace_lane 1
            local.get 15
            i32.const 4
            i32.shr_u
            i32x4.replace_lane 2
            local.get 15
            i32x4.replace_lane 3
            v128.const i32x4 0x0000000f 0x0000000f 0x0000000f 0x0000000f
            local.tee 16
            v128.and
            local.tee 14
            i32x4.extract_lane 3
            i32.const 4096
            i32.add
            local.get 14
            i32x4.extract_lane 2
            i32.const 4096
            i32.add
            local.get 14
            i32x4.extract_lane 1
            i32.const 4096
            i32.add
            local.get 14
            i32x4.extract_lane 0
            i32.const 4096
            i32.add
            local.get 14
            local.get 15
            i32.const 24
            i32.shr_u
            i32x4.replace_lane 1
            local.get 15
            i32.const 20
            i32.shr_u
            i32x4.replace_lane 2
            local.get 15
            i32.const 16
            i32.shr_u
            i32x4.replace_lane 3
            local.get 16
            v128.and
            local.tee 14
            i32x4.extract_lane 3
            i32.const 4096
            i32.add
            local.get 14
            i32x4.extract_lane 2
            i32.const 4096
            i32.add
            local.get 14
            i32x4.extract_lane 1
            i32.const 4096
            i32.add
            local.get 15
            i32.const 28
            i32.shr_u
            i32.const 4096
            i32.add
            v128.load8_splat
            v128.load8_lane 1
            v128.load8_lane 2
            v128.load8_lane 3
            v128.load8_lane 4
            v128.load8_lane 5
            v128.load8_lane 6
            v128.load8_lane 7
            v128.store64_lane offset=2 align=1 0
            block ;; label = @5
              local.get 6
              i32.const 52
              i32.lt_u
              br_if 0 (;@5;)
              i32.const 16
              call 16
              i32.const 0
              i32.load offset=4156
              local.tee 0
              i32.const 12
              i32.shr_u
              i32x4.splat
              local.get 0
              i32.const 8
              i32.shr_u
              i32x4.replace_lane 1
              local.get 0
              i32.const 4
              i32.shr_u
              i32x4.replace_lane 2
              local.get 0
              i32x4.replace_lane 3
              local.get 16
              v128.and
              local.tee 14
              i32x4.extract_lane 3
              i32.const 4096
              i32.add
              local.get 14
              i32x4.extract_lane 2
              i32.const 4096
              i32.add
              local.get 14
              i32x4.extract_lane 1
              i32.const 4096
              i32.add
              local.get 14
              i32x4.extract_lane 0
              i32.const 4096
              i32.add
              local.get 14
              local.get 0
              i32.const 24
              i32.shr_u
              i32x4.replace_lane 1
              local.get 0
              i32.const 20
              i32.shr_u
              i32x4.replace_lane 2
              local.get 0
              i32.const 16
              i32.shr_u
              i32x4.replace_lane 3
              local.get 16
              v128.and
              local.tee 14
              i32x4.extract_lane 3
              i32.const 4096
              i32.add
              local.get 14
              i32x4.extract_lane 2
              i32.const 4096
              i32.add
              local.get 14
              i32x4.extract_lane 1
              i32.const 4096
              i32.add
              local.get 0
              i32.const 28
              i32.shr_u
              i32.const 4096
              i32.add
              v128.load8_splat
              v128.load8_lane 1
              v128.load8_lane 2
              v128.load8_lane 3
              v128.load8_lane 4
              v128.load8_lane 5
              v128.load8_lane 6
              v128.load8_lane 7
              i32.const 0
              i32.load offset=4160
              local.tee 0
              i32.const 12
              i32.shr_u
              i32x4.splat
              local.get 0
              i32.const 8
              i32.shr_u
              i32x4.replace_lane 1
              local.get 0
              i32.const 4
              i32.shr_u
              i32x4.replace_lane 2
              local.get 0
              i32x4.replace_lane 3
              local.get 16
              v128.and
              local.tee 14
              i32x4.extract_lane 3
              i32.const 4096
              i32.add
              local.get 14
              i32x4.extract_lane 2
              i32.const 4096
              i32.add
              local.get 14
              i32x4.extract_lane 1
              i32.const 4096
              i32.add
              local.get 14
              i32x4.extract_lane 0
              i32.const 4096
              i32.add
              local.get 14
              local.get 0
              i32.const 24
              i32.shr_u
              i32x4.replace_lane 1
              local.get 0
              i32.const 20
              i32.shr_u
              i32x4.replace_lane 2
              local.get 0
              i32.const 16
              i32.shr_u
              i32x4.replace_lane 3
              local.get 16
              v128.and
              local.tee 14
              i32x4.extract_lane 3
              i32.const 4096
              i32.add
              local.get 14
              i32x4.extract_lane 2
              i32.const 4096
              i32.add
              local.get 14
              i32x4.extract_lane 1
              i32.const 4096
              i32.add
              local.get 0
              i32.const 28
              i32.shr_u
              i32.const 4096
              i32.add
              v128.load8_splat
              v128.load8_lane 1
              v128.load8_lane 2
              v128.load8_lane 3
              v128.load8_lane 4
              v128.load8_lane 5
              v128.load8_lane 6
              v128.load8_lane 7
              i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23
              v128.store align=1
            end
            i32.const 0
            i32.load8_u offset=4140
            local.set 0
            local.get 15
            i32.eqz
            br_if 0 (;@4;)
            local.get 0
            i32.const 255
            i32.and
            br_if 0 (;@4;)
            local.get 7
            i32.load
            local.set 17
            i32.const 0
            local.set 11
            loop ;; label = @5
              call 8
              local.set 0
              call 10
              local.set 8
              call 11
              local.set 6
              block ;; label = @6
                block ;; label = @7
                  local.get 8
                  local.get 0
                  local.get 11
                  i32.mul
                  local.get 17
                  i32.add
                  local.tee 0
                  i32.add
                  call 6
                  i32.const 255
                  i32.and
                  local.tee 8
                  local.get 6
                  i32.ge_u
                  br_if 0 (;@7;)
                  local.get 8
                  local.set 10
                  br 1 (;@6;)
                end
                i32.const 0
                local.set 10
                i32.const 0
                i32.load8_u offset=4140
                br_if 0 (;@6;)
                i32.const 0
                local.set 10
                i32.const 0
                local.get 8
                i32.store offset=4144
                i32.const 0
                i32.const 100
                i32.store8 offset=4140
                i32.const 0
                local.get 6
                i32.store offset=4148
              end
              i32.const 0
              local.set 9
              i32.const 0
              call 12
              local.get 10
              i32.shr_u
              i32.const 1
              i32.and
              local.tee 6
              i32.sub
              local.set 8
              i32.const 0
              local.set 12
              block ;; label = @6
                local.get 6
                i32.eqz
                br_if 0 (;@6;)
                local.get 7
                i32.const 32
                i32.add
                local.get 0
                call 10
                i32.add
                i32.const 4
                i32.add
                i32.const 1
                i32.const 115
                call 19
                local.get 7
                i64.load offset=32
                local.tee 18
                i64.const 32
                i64.shr_u
                i32.wrap_i64
                local.set 9
                local.get 18
                i32.wrap_i64
                local.set 12
              end
              local.get 8
              i32.const 8
              i32.and
              local.set 1
              local.get 7
              i32.const 32
              i32.add
              call 3
              local.get 0
              i32.add
              i32.const 115
              call 20
              local.get 7
              i32.const 20
              i32.add
              call 2
              local.get 0
              i32.add
              i32.const 108
              call 20
              i32.const 18
              call 16
              local.set 5
              i32.const 0
              i32.load offset=4152
              local.set 3
              block ;; label = @6
                block ;; label = @7
                  local.get 7
                  i32.load offset=20
                  br_if 0 (;@7;)
                  local.get 3
                  local.set 6
                  br 1 (;@6;)
                end
                local.get 7
                i32.load offset=24
                local.set 19
                local.get 7
                i32.load offset=28
                local.tee 2
                call 16
                local.tee 4
                local.get 19
                local.get 2
                call 7
                i32.const 0
                local.set 8
                block ;; label = @7
                  block ;; label = @8
                    local.get 2
                    i32.const 16
                    i32.ge_u
                    br_if 0 (;@8;)
                    v128.const i32x4 0x00000000 0x00000000 0x00000000 0x00000000
                    local.set 14
                    i32.const 0
                    local.set 6
                    br 1 (;@7;)
                  end
                  v128.const i32x4 0x00000000 0x00000000 0x00000000 0x00000000
                  local.set 14
                  i32.const 0
                  local.set 6
                  loop ;; label = @8
                    local.get 6
                    local.tee 0
                    i32.const 16
                    i32.add
                    local.set 6
                    local.get 4
                    local.get 0
                    i32.add
                    v128.load align=1
                    local.get 14
                    v128.or
                    local.set 14
                    local.get 0
                    i32.const 32
                    i32.add
                    local.get 2
                    i32.le_u
                    br_if 0 (;@8;)
                  end
                end
                block ;; label = @7
                  local.get 2
                  local.get 6
                  i32.le_u
                  br_if 0 (;@7;)
                  local.get 4
                  local.get 6
                  i32.add
                  local.set 0
                  local.get 2
                  local.get 6
                  i32.sub
                  local.set 8
                  i32.const 0
                  local.set 6
                  loop ;; label = @8
                    local.get 0
                    i32.load8_u
                    local.get 6
                    i32.or
                    i32.extend8_s
                    local.set 6
                    local.get 0
                    i32.const 1
                    i32.add
                    local.set 0
                    local.get 8
                    i32.const -1
                    i32.add
                    local.tee 8
                    br_if 0 (;@8;)
                  end
                  local.get 6
                  i32.const 0
                  i32.lt_s
                  local.set 8
                end
                block ;; label = @7
                  block ;; label = @8
                    local.get 8
                    br_if 0 (;@8;)
                    i32.const 2
                    local.set 0
                    local.get 14
                    i8x16.bitmask
                    i32.eqz
                    br_if 1 (;@7;)
                  end
                  local.get 2
                  call 16
                  drop
                  local.get 4
                  local.get 2
                  i32.add
                  local.tee 0
                  local.get 19
                  local.get 2
                  call 7
                  local.get 4
                  local.get 0
                  local.get 2
                  call 22
                  i32.const 6
                  local.set 0
                end
                local.get 0
                local.get 1
                i32.or
                local.set 1
                i32.const 0
                i32.load offset=4152
                local.set 6
              end
              block ;; label = @6
                local.get 7
                i32.load offset=32
                i32.eqz
                br_if 0 (;@6;)
                local.get 7
                i32.load offset=36
                local.set 0
                local.get 7
                i32.load offset=40
                local.tee 8
                call 16
                local.get 0
                local.get 8
                call 7
                local.get 1
                i32.const 1
                i32.or
                local.set 1
              end
              block ;; label = @6
                local.get 1
                i32.const 8
                i32.and
                i32.eqz
                br_if 0 (;@6;)
                local.get 9
                i32.const 12
                i32.shr_u
                i32x4.splat
                local.get 9
                i32.const 8
                i32.shr_u
                i32x4.replace_lane 1
                local.get 9
                i32.const 4
                i32.shr_u
                i32x4.replace_lane 2
                local.get 9
                i32x4.replace_lane 3
                local.get 16
                v128.and
                local.tee 14
                i32x4.extract_lane 3
                i32.const 4096
                i32.add
                local.get 14
                i32x4.extract_lane 2
                i32.const 4096
                i32.add
                local.get 14
                i32x4.extract_lane 1
                i32.const 4096
                i32.add
                local.get 14
                i32x4.extract_lane 0
                i32.const 4096
                i32.add
                local.get 14
                local.get 9
                i32.const 24
                i32.shr_u
                i32x4.replace_lane 1
                local.get 9
                i32.const 20
                i32.shr_u
                i32x4.replace_lane 2
                local.get 9
                i32.const 16
                i32.shr_u
                i32x4.replace_lane 3
                local.get 16
                v128.and
                local.tee 14
                i32x4.extract_lane 3
                i32.const 4096
                i32.add
                local.get 14
                i32x4.extract_lane 2
                i32.const 4096
                i32.add
                local.get 14
                i32x4.extract_lane 1
                i32.const 4096
                i32.add
                local.get 9
                i32.const 28
                i32.shr_u
                i32.const 4096
                i32.add
                v128.load8_splat
                v128.load8_lane 1
                v128.load8_lane 2
                v128.load8_lane 3
                v128.load8_lane 4
                v128.load8_lane 5
                v128.load8_lane 6
                v128.load8_lane 7
                local.set 14
                i32.const 8
                call 16
                local.get 14
                v128.store64_lane align=1 0
                local.get 9
                call 16
                local.get 12
                local.get 9
                call 7
              end
              local.get 5
              local.get 1
              i32.const 48
              i32.or
              i32.store8 offset=1
              local.get 5
              local.get 10
              i32.const 48
              i32.add
              i32.store8
              local.get 5
              local.get 7
              i32.load offset=40
              local.tee 0
              i32.const 12
              i32.shr_u
              i32x4.splat
              local.get 0
              i32.const 8
              i32.shr_u
              i32x4.replace_lane 1
              local.get 0
              i32.const 4
              i32.shr_u
              i32x4.replace_lane 2
              local.get 0
              i32x4.replace_lane 3
              local.get 16
              v128.and
              local.tee 14
              i32x4.extract_lane 3
              i32.const 4096
              i32.add
              local.get 14
              i32x4.extract_lane 2
              i32.const 4096
              i32.add
              local.get 14
              i32x4.extract_lane 1
              i32.const 4096
              i32.add
              local.get 14
              i32x4.extract_lane 0
              i32.const 4096
              i32.add
              local.get 14
              local.get 0
              i32.const 24
              i32.shr_u
              i32x4.replace_lane 1
              local.get 0
              i32.const 20
              i32.shr_u
              i32x4.replace_lane 2
              local.get 0
              i32.const 16
              i32.shr_u
              i32x4.replace_lane 3
              local.get 16
              v128.and
              local.tee 14
              i32x4.extract_lane 3
              i32.const 4096
              i32.add
              local.get 14
              i32x4.extract_lane 2
              i32.const 4096
              i32.add
              local.get 14
              i32x4.extract_lane 1
              i32.const 4096
              i32.add
              local.get 0
              i32.const 28
              i32.shr_u
              i32.const 4096
              i32.add
              v128.load8_splat
              v128.load8_lane 1
              v128.load8_lane 2
              v128.load8_lane 3
              v128.load8_lane 4
              v128.load8_lane 5
              v128.load8_lane 6
              v128.load8_lane 7
              local.get 6
              local.get 3
              i32.sub
              local.tee 0
              i32.const 12
              i32.shr_u
              i32x4.splat
              local.get 0
              i32.const 8
              i32.shr_u
              i32x4.replace_lane 1
              local.get 0
              i32.const 4
              i32.shr_u
              i32x4.replace_lane 2
              local.get 0
              i32x4.replace_lane 3
              local.get 16
              v128.and
              local.tee 14
              i32x4.extract_lane 3
              i32.const 4096
              i32.add
              local.get 14
              i32x4.extract_lane 2
              i32.const 4096
              i32.add
              local.get 14
              i32x4.extract_lane 1
              i32.const 4096
              i32.add
              local.get 14
              i32x4.extract_lane 0
              i32.const 4096
              i32.add
              local.get 14
              local.get 0
              i32.const 24
              i32.shr_u
              i32x4.replace_lane 1
              local.get 0
              i32.const 20
              i32.shr_u
              i32x4.replace_lane 2
              local.get 0
              i32.const 16
              i32.shr_u
              i32x4.replace_lane 3
              local.get 16
              v128.and
              local.tee 14
              i32x4.extract_lane 3
              i32.const 4096
              i32.add
              local.get 14
              i32x4.extract_lane 2
              i32.const 4096
              i32.add
              local.get 14
              i32x4.extract_lane 1
              i32.const 4096
              i32.add
              local.get 0
              i32.const 28
              i32.shr_u
              i32.const 4096
              i32.add
              v128.load8_splat
              v128.load8_lane 1
              v128.load8_lane 2
              v128.load8_lane 3
              v128.load8_lane 4
              v128.load8_lane 5
              v128.load8_lane 6
              v128.load8_lane 7
              i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23
              v128.store offset=2 align=1
              i32.const 0
              i32.load8_u offset=4140
              local.set 0
              local.get 11
              i32.const 1
              i32.add
              local.tee 11
              local.get 15
              i32.ge_u
              br_if 1 (;@4;)
              local.get 0
              i32.const 255
              i32.and
              i32.eqz
              br_if 0 (;@5;)
            end
          end
          local.get 0
          i32.const 255
          i32.and
          br_if 0 (;@3;)
          i32.const 0
          i32.const 0
          i32.load offset=4152
          i32.const 0
          i32.load offset=4132
          i32.sub
          i32.store offset=4136
          br 1 (;@2;)
        end
        i32.const 0
        i32.const 18
        call 16
        local.tee 6
        i32.store offset=4132
        i32.const 0
        i32.const 0
        i32.store offset=4128
        local.get 6
        i32.const 50
        i32.store8
        local.get 6
        i32.const 0
        i32.load8_u offset=4140
        local.tee 8
        i32.store8 offset=1
        local.get 6
        i32.const 0
        i32.load offset=4144
        local.tee 0
        i32.const 12
        i32.shr_u
        i32x4.splat
        local.get 0
        i32.const 8
        i32.shr_u
        i32x4.replace_lane 1
        local.get 0
        i32.const 4
        i32.shr_u
        i32x4.replace_lane 2
        local.get 0
        i32x4.replace_lane 3
        v128.const i32x4 0x0000000f 0x0000000f 0x0000000f 0x0000000f
        local.tee 14
        v128.and
        local.tee 16
        i32x4.extract_lane 3
        i32.const 4096
        i32.add
        local.get 16
        i32x4.extract_lane 2
        i32.const 4096
        i32.add
        local.get 16
        i32x4.extract_lane 1
        i32.const 4096
        i32.add
        local.get 16
        i32x4.extract_lane 0
        i32.const 4096
        i32.add
        local.get 14
        local.get 0
        i32.const 24
        i32.shr_u
        i32x4.replace_lane 1
        local.get 0
        i32.const 20
        i32.shr_u
        i32x4.replace_lane 2
        local.get 0
        i32.const 16
        i32.shr_u
        i32x4.replace_lane 3
        local.get 14
        v128.and
        local.tee 16
        i32x4.extract_lane 3
        i32.const 4096
        i32.add
        local.get 16
        i32x4.extract_lane 2
        i32.const 4096
        i32.add
        local.get 16
        i32x4.extract_lane 1
        i32.const 4096
        i32.add
        local.get 0
        i32.const 28
        i32.shr_u
        i32.const 4096
        i32.add
        v128.load8_splat
        v128.load8_lane 1
        v128.load8_lane 2
        v128.load8_lane 3
        v128.load8_lane 4
        v128.load8_lane 5
        v128.load8_lane 6
        v128.load8_lane 7
        i32.const 0
        i32.load offset=4148
        local.tee 0
        i32.const 12
        i32.shr_u
        i32x4.splat
        local.get 0
        i32.const 8
        i32.shr_u
        i32x4.replace_lane 1
        local.get 0
        i32.const 4
        i32.shr_u
        i32x4.replace_lane 2
        local.get 0
        i32x4.replace_lane 3
        local.get 14
        v128.and
        local.tee 16
        i32x4.extract_lane 3
        i32.const 4096
        i32.add
        local.get 16
        i32x4.extract_lane 2
        i32.const 4096
        i32.add
        local.get 16
        i32x4.extract_lane 1
        i32.const 4096
        i32.add
        local.get 16
        i32x4.extract_lane 0
        i32.const 4096
        i32.add
        local.get 14
        local.get 0
        i32.const 24
        i32.shr_u
        i32x4.replace_lane 1
        local.get 0
        i32.const 20
        i32.shr_u
        i32x4.replace_lane 2
        local.get 0
        i32.const 16
        i32.shr_u
        i32x4.replace_lane 3
        local.get 14
        v128.and
        local.tee 14
        i32x4.extract_lane 3
        i32.const 4096
        i32.add
        local.get 14
        i32x4.extract_lane 2
        i32.const 4096
        i32.add
        local.get 14
        i32x4.extract_lane 1
        i32.const 4096
        i32.add
        local.get 0
        i32.const 28
        i32.shr_u
        i32.const 4096
        i32.add
        v128.load8_splat
        v128.load8_lane 1
        v128.load8_lane 2
        v128.load8_lane 3
        v128.load8_lane 4
        v128.load8_lane 5
        v128.load8_lane 6
        v128.load8_lane 7
        i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23
        v128.store offset=2 align=1
        i32.const 0
        i32.const 0
        i32.load offset=4152
        i32.const 0
        i32.load offset=4132
        i32.sub
        i32.store offset=4136
        local.get 8
        br_if 1 (;@1;)
      end
      local.get 13
      call 13
    end
    i32.const 0
    i32.const 0
    i32.load offset=4116
    i32.const 0
    i32.load offset=4120
    i32.add
    i32.store offset=4152
    local.get 7
    i32.const 48
    i32.add
    global.set 0
    i32.const 4124
  )
  (func (;18;) (type 1) (param i32 i32 i32)
    (local i32 i32 i32 v128 v128 v128 v128 v128)
    i32.const 0
    local.set 3
    block ;; label = @1
      local.get 2
      i32.const 16
      i32.lt_u
      br_if 0 (;@1;)
      i32.const 0
      local.set 3
      local.get 1
      local.set 4
      loop ;; label = @2
        local.get 0
        local.get 3
        local.tee 5
        i32.add
        local.get 4
        v128.load align=1
        local.tee 6
        v128.const i32x4 0x39393939 0x39393939 0x39393939 0x39393939
        local.tee 7
        i8x16.gt_u
        v128.const i32x4 0x09090909 0x09090909 0x09090909 0x09090909
        local.tee 8
        v128.and
        local.get 6
        v128.const i32x4 0x0f0f0f0f 0x0f0f0f0f 0x0f0f0f0f 0x0f0f0f0f
        local.tee 9
        v128.and
        i8x16.add
        local.tee 6
        i32.const 4
        i16x8.shl
        v128.const i32x4 0x01f001f0 0x01f001f0 0x01f001f0 0x01f001f0
        local.tee 10
        v128.and
        local.get 6
        i32.const 8
        i16x8.shr_u
        v128.or
        local.get 4
        i32.const 16
        i32.add
        v128.load align=1
        local.tee 6
        local.get 7
        i8x16.gt_u
        local.get 8
        v128.and
        local.get 6
        local.get 9
        v128.and
        i8x16.add
        local.tee 6
        i32.const 4
        i16x8.shl
        local.get 10
        v128.and
        local.get 6
        i32.const 8
        i16x8.shr_u
        v128.or
        i8x16.narrow_i16x8_u
        v128.store align=1
        local.get 4
        i32.const 32
        i32.add
        local.set 4
        local.get 5
        i32.const 16
        i32.add
        local.set 3
        local.get 5
        i32.const 32
        i32.add
        local.get 2
        i32.le_u
        br_if 0 (;@2;)
      end
    end
    block ;; label = @1
      local.get 2
      local.get 3
      i32.le_u
      br_if 0 (;@1;)
      local.get 0
      local.get 3
      i32.add
      local.set 5
      local.get 2
      local.get 3
      i32.sub
      local.set 2
      local.get 1
      local.get 3
      i32.const 1
      i32.shl
      i32.add
      local.set 4
      loop ;; label = @2
        local.get 5
        i32.const 57
        i32.const 0
        local.get 4
        i32.load8_u
        local.tee 3
        i32.const 57
        i32.gt_u
        select
        local.get 3
        i32.add
        i32.const 4
        i32.shl
        i32.const 9
        i32.const 0
        local.get 4
        i32.const 1
        i32.add
        i32.load8_u
        local.tee 3
        i32.const 57
        i32.gt_u
        select
        local.get 3
        i32.const 15
        i32.and
        i32.add
        i32.or
        i32.store8
        local.get 4
        i32.const 2
        i32.add
        local.set 4
        local.get 5
        i32.const 1
        i32.add
        local.set 5
        local.get 2
        i32.const -1
        i32.add
        local.tee 2
        br_if 0 (;@2;)
      end
    end
  )
  (func (;19;) (type 9) (param i32 i32 i32 i32)
    (local i32)
    local.get 1
    call 6
    local.set 4
    block ;; label = @1
      local.get 1
      i32.const 4
      i32.add
      call 6
      local.tee 1
      i64.extend_i32_u
      local.get 2
      i64.extend_i32_u
      i64.mul
      local.get 4
      i64.extend_i32_u
      i64.add
      call 5
      i64.extend_i32_u
      i64.const 16
      i64.shl
      i64.le_u
      br_if 0 (;@1;)
      i32.const 0
      local.set 4
      i32.const 0
      local.set 1
      i32.const 0
      i32.load8_u offset=4140
      br_if 0 (;@1;)
      i32.const 0
      local.set 4
      i32.const 0
      local.get 3
      i32.store8 offset=4140
      i32.const 0
      i32.const 0
      i32.store offset=4144
      i32.const 0
      i32.const 0
      i32.store offset=4148
      i32.const 0
      local.set 1
    end
    local.get 0
    local.get 1
    i32.store offset=4
    local.get 0
    local.get 4
    i32.store
  )
  (func (;20;) (type 1) (param i32 i32 i32)
    (local i32)
    block ;; label = @1
      block ;; label = @2
        block ;; label = @3
          local.get 1
          call 6
          i32.const 255
          i32.and
          local.tee 3
          i32.const 2
          i32.lt_u
          br_if 0 (;@3;)
          i32.const 0
          i32.load8_u offset=4140
          br_if 1 (;@2;)
          i32.const 0
          local.get 3
          i32.store offset=4144
          i32.const 0
          i32.const 100
          i32.store8 offset=4140
          i32.const 0
          i32.const 2
          i32.store offset=4148
          br 1 (;@2;)
        end
        local.get 3
        br_if 1 (;@1;)
      end
      local.get 0
      i32.const 0
      i32.store offset=8
      local.get 0
      i64.const 0
      i64.store align=4
      return
    end
    local.get 0
    i32.const 1
    i32.store
    local.get 0
    i32.const 4
    i32.add
    local.get 1
    i32.const 4
    i32.add
    i32.const 1
    local.get 2
    call 19
  )
  (func (;21;) (type 5) (param i32 i32 i32) (result i32)
    (local i32 i32 i32 i32 i32)
    i32.const 0
    local.set 3
    i32.const 0
    i32.load offset=4152
    local.set 4
    i32.const 4096
    call 16
    drop
    i32.const 0
    local.get 4
    i32.store offset=4152
    local.get 4
    local.get 0
    local.get 2
    call 7
    local.get 2
    i32.const 4080
    i32.and
    local.set 5
    block ;; label = @1
      block ;; label = @2
        block ;; label = @3
          loop ;; label = @4
            block ;; label = @5
              local.get 3
              i32.const 16
              i32.add
              local.tee 0
              local.get 2
              i32.le_u
              br_if 0 (;@5;)
              block ;; label = @6
                local.get 2
                local.get 5
                i32.ne
                br_if 0 (;@6;)
                i32.const 1
                return
              end
              local.get 4
              local.get 5
              i32.add
              local.set 3
              local.get 1
              local.get 5
              i32.add
              local.set 0
              local.get 2
              local.get 5
              i32.sub
              local.set 6
              br 2 (;@3;)
            end
            local.get 1
            local.get 3
            i32.add
            local.set 6
            local.get 4
            local.get 3
            i32.add
            local.set 7
            local.get 0
            local.set 3
            local.get 7
            v128.load align=1
            local.get 6
            v128.load align=1
            i8x16.eq
            i8x16.all_true
            br_if 0 (;@4;)
            br 2 (;@2;)
          end
        end
        loop ;; label = @3
          local.get 3
          i32.load8_u
          local.get 0
          i32.load8_u
          i32.ne
          br_if 1 (;@2;)
          i32.const 1
          local.set 7
          local.get 3
          i32.const 1
          i32.add
          local.set 3
          local.get 0
          i32.const 1
          i32.add
          local.set 0
          local.get 6
          i32.const -1
          i32.add
          local.tee 6
          i32.eqz
          br_if 2 (;@1;)
          br 0 (;@3;)
        end
      end
      i32.const 0
      local.set 7
    end
    local.get 7
  )
  (func (;22;) (type 1) (param i32 i32 i32)
    (local i32 v128 i32 v128 v128)
    i32.const 0
    local.set 3
    block ;; label = @1
      local.get 2
      i32.const 16
      i32.lt_u
      br_if 0 (;@1;)
      i32.const 0
      local.set 3
      loop ;; label = @2
        local.get 0
        i32.const 16
        i32.add
        v128.const i32x4 0x33323130 0x37363534 0x62613938 0x66656463
        local.tee 4
        local.get 1
        local.get 3
        local.tee 5
        i32.add
        v128.load align=1
        local.tee 6
        i32.const 4
        i8x16.shr_u
        i8x16.swizzle
        local.tee 7
        local.get 4
        local.get 6
        v128.const i32x4 0x0f0f0f0f 0x0f0f0f0f 0x0f0f0f0f 0x0f0f0f0f
        v128.and
        i8x16.swizzle
        local.tee 4
        i8x16.shuffle 8 24 9 25 10 26 11 27 12 28 13 29 14 30 15 31
        v128.store align=1
        local.get 0
        local.get 7
        local.get 4
        i8x16.shuffle 0 16 1 17 2 18 3 19 4 20 5 21 6 22 7 23
        v128.store align=1
        local.get 5
        i32.const 16
        i32.add
        local.set 3
        local.get 0
        i32.const 32
        i32.add
        local.set 0
        local.get 5
        i32.const 32
        i32.add
        local.get 2
        i32.le_u
        br_if 0 (;@2;)
      end
    end
    block ;; label = @1
      local.get 2
      local.get 3
      i32.le_u
      br_if 0 (;@1;)
      local.get 1
      local.get 3
      i32.add
      local.set 5
      local.get 2
      local.get 3
      i32.sub
      local.set 3
      loop ;; label = @2
        local.get 0
        i32.const 1
        i32.add
        local.get 5
        i32.load8_u
        local.tee 2
        i32.const 15
        i32.and
        i32.load8_u offset=4096
        i32.store8
        local.get 0
        local.get 2
        i32.const 4
        i32.shr_u
        i32.load8_u offset=4096
        i32.store8
        local.get 5
        i32.const 1
        i32.add
        local.set 5
        local.get 0
        i32.const 2
        i32.add
        local.set 0
        local.get 3
        i32.const -1
        i32.add
        local.tee 3
        br_if 0 (;@2;)
      end
    end
  )
  (data (;0;) (i32.const 4096) "0123456789abcdef\00")
)
