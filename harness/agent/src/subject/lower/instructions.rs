//! BPF programs by name, as instructions (`struct bpf_insn`, include/uapi/linux/bpf.h).

use perfsec_wire::step::Program;

/// `BPF_ALU64 | BPF_MOV | BPF_K`: sets a register to a number.
const SET: u64 = 0xb7;
/// `BPF_ALU64 | BPF_MOV | BPF_X`: copies a register.
const COPY: u64 = 0xbf;
/// `BPF_ALU64 | BPF_ADD | BPF_K`
const ADD: u64 = 0x07;
/// `BPF_LDX | BPF_MEM | BPF_DW`
const LOAD: u64 = 0x79;
/// `BPF_JMP | BPF_JEQ | BPF_K`: jumps if a register equals a number.
const JUMP_IF: u64 = 0x15;
/// `BPF_ST | BPF_MEM | BPF_DW`
const STORE: u64 = 0x7a;
/// `BPF_JMP | BPF_CALL`
const CALL: u64 = 0x85;
/// `BPF_JMP | BPF_EXIT`
const EXIT: u64 = 0x95;
/// The register that points to the end of the stack.
const FRAME: u64 = 10;

/// Helpers, by their number in `enum bpf_func_id`.
const KTIME_GET_NS: i32 = 5;
const TRACE_PRINTK: i32 = 6;
const GET_CURRENT_TASK: i32 = 35;
const PROBE_READ_KERNEL: i32 = 113;
const JIFFIES64: i32 = 118;
const READ_BRANCH_RECORDS: i32 = 119;
const SKC_TO_TCP6_SOCK: i32 = 136;
const SKC_TO_TCP_SOCK: i32 = 137;
const GET_CURRENT_TASK_BTF: i32 = 158;
const SYS_BPF: i32 = 166;
const GET_FUNC_IP: i32 = 173;
const GET_FUNC_ARG: i32 = 183;
const TCP_RAW_GEN_SYNCOOKIE_IPV4: i32 = 204;

/// Offset of `sk` in `struct __sk_buff`.
const SK_BUFF_SK: i16 = 168;

const fn instruction(code: u64, to: u64, from: u64, offset: i16, number: i32) -> u64 {
    code | to << 8 | from << 12 | (offset as u16 as u64) << 16 | (number as u32 as u64) << 32
}

/// The instructions of a program.
pub(crate) fn instructions(program: Program) -> Vec<u64> {
    let set = |to, number| instruction(SET, to, 0, 0, number);
    let copy = |to, from| instruction(COPY, to, from, 0, 0);
    let add = |to, number| instruction(ADD, to, 0, 0, number);
    let call = |helper| instruction(CALL, 0, 0, 0, helper);
    let exit = instruction(EXIT, 0, 0, 0, 0);
    let skc_to = |helper| {
        vec![
            instruction(LOAD, 1, 1, SK_BUFF_SK, 0),
            instruction(JUMP_IF, 1, 0, 1, 0),
            call(helper),
            set(0, 0),
            exit,
        ]
    };
    match program {
        Program::Nothing => vec![set(0, 0), exit],
        Program::ReturnPointer => vec![copy(0, FRAME), exit],
        Program::ReadStack => {
            vec![instruction(LOAD, 0, FRAME, -8, 0), set(0, 0), exit]
        }
        Program::Time => vec![call(KTIME_GET_NS), set(0, 0), exit],
        Program::Jiffies => vec![call(JIFFIES64), set(0, 0), exit],
        Program::ProbeRead => {
            vec![
                copy(1, FRAME),
                add(1, -8),
                set(2, 8),
                set(3, 0),
                call(PROBE_READ_KERNEL),
                set(0, 0),
                exit,
            ]
        }
        Program::TracePrintk => vec![
            instruction(STORE, FRAME, 0, -8, 0x41),
            copy(1, FRAME),
            add(1, -8),
            set(2, 8),
            call(TRACE_PRINTK),
            set(0, 0),
            exit,
        ],
        Program::CurrentTask => vec![call(GET_CURRENT_TASK), set(0, 0), exit],
        Program::CurrentTaskBtf => vec![call(GET_CURRENT_TASK_BTF), set(0, 0), exit],
        Program::SkcToTcp6 => skc_to(SKC_TO_TCP6_SOCK),
        Program::SkcToTcp => skc_to(SKC_TO_TCP_SOCK),
        Program::SkcOfContext => vec![call(SKC_TO_TCP6_SOCK), set(0, 0), exit],
        Program::SysBpf => vec![
            instruction(STORE, FRAME, 0, -8, 0),
            set(1, 0),
            copy(2, FRAME),
            add(2, -8),
            set(3, 8),
            call(SYS_BPF),
            set(0, 0),
            exit,
        ],
        Program::BranchRecords => vec![call(READ_BRANCH_RECORDS), set(0, 0), exit],
        Program::FuncIp => vec![call(GET_FUNC_IP), set(0, 0), exit],
        Program::FuncArg => vec![call(GET_FUNC_ARG), set(0, 0), exit],
        Program::Syncookie => vec![call(TCP_RAW_GEN_SYNCOOKIE_IPV4), set(0, 0), exit],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instruction_has_the_kernels_layout() {
        // r0 = 0; exit
        assert_eq!(instructions(Program::Nothing), [0xb7, 0x95]);
        // r0 = *(u64 *)(r10 - 8)
        assert_eq!(
            instructions(Program::ReadStack)[0].to_le_bytes(),
            [0x79, 0xa0, 0xf8, 0xff, 0, 0, 0, 0]
        );
    }
}
