//! BPF programs as `struct bpf_insn`.

use perfsec_wire::step::Program;

/// The instructions of a program, one initialiser each.
pub(super) fn instructions(program: Program) -> Vec<String> {
    let set = |register: u8, number: i32| {
        format!(
            ".code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_{register}, .imm = {number}"
        )
    };
    let copy = |to: u8, from: u8| {
        format!(
            ".code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_{to}, .src_reg = BPF_REG_{from}"
        )
    };
    let add = |register: u8, number: i32| {
        format!(
            ".code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_{register}, .imm = {number}"
        )
    };
    let store = |number: i32| {
        format!(
            ".code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = BPF_REG_10, .off = -8, .imm = {number}"
        )
    };
    let call = |helper: &str| format!(".code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_{helper}");
    let exit = ".code = BPF_JMP | BPF_EXIT".to_owned();
    let calls = |helper: &str| vec![call(helper)];
    // `sk` of `struct __sk_buff`, if there is one.
    let skc_to = |helper: &str| {
        vec![
            ".code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_1, \
             .off = offsetof(struct __sk_buff, sk)"
                .to_owned(),
            ".code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = BPF_REG_1, .off = 1, .imm = 0"
                .to_owned(),
            call(helper),
        ]
    };
    let mut code = match program {
        Program::Nothing => Vec::new(),
        Program::ReturnPointer => return vec![copy(0, 10), exit],
        Program::ReadStack => vec![
            ".code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = BPF_REG_0, .src_reg = BPF_REG_10, \
             .off = -8"
                .to_owned(),
        ],
        Program::ProbeRead => {
            vec![copy(1, 10), add(1, -8), set(2, 8), set(3, 0), call("probe_read_kernel")]
        }
        Program::TracePrintk => {
            vec![store(0x41), copy(1, 10), add(1, -8), set(2, 8), call("trace_printk")]
        }
        Program::SysBpf => {
            vec![store(0), set(1, 0), copy(2, 10), add(2, -8), set(3, 8), call("sys_bpf")]
        }
        Program::Time => calls("ktime_get_ns"),
        Program::Jiffies => calls("jiffies64"),
        Program::CurrentTask => calls("get_current_task"),
        Program::CurrentTaskBtf => calls("get_current_task_btf"),
        Program::SkcToTcp6 => skc_to("skc_to_tcp6_sock"),
        Program::SkcToTcp => skc_to("skc_to_tcp_sock"),
        Program::SkcOfContext => calls("skc_to_tcp6_sock"),
        Program::BranchRecords => calls("read_branch_records"),
        Program::FuncIp => calls("get_func_ip"),
        Program::FuncArg => calls("get_func_arg"),
        Program::Syncookie => calls("tcp_raw_gen_syncookie_ipv4"),
    };
    code.push(set(0, 0));
    code.push(exit);
    code
}
