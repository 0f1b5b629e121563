//! The fields of `struct perf_event_attr` that are sets of bits.

use crate::named::named;

named! {
    /// A bit of `sample_type`, by its name without `PERF_SAMPLE_`.
    SampleType is "sample type" {
        Ip = "IP" PERF_SAMPLE_IP,
        Tid = "TID" PERF_SAMPLE_TID,
        Time = "TIME" PERF_SAMPLE_TIME,
        Addr = "ADDR" PERF_SAMPLE_ADDR,
        Read = "READ" PERF_SAMPLE_READ,
        Callchain = "CALLCHAIN" PERF_SAMPLE_CALLCHAIN,
        Id = "ID" PERF_SAMPLE_ID,
        Cpu = "CPU" PERF_SAMPLE_CPU,
        Period = "PERIOD" PERF_SAMPLE_PERIOD,
        StreamId = "STREAM_ID" PERF_SAMPLE_STREAM_ID,
        Raw = "RAW" PERF_SAMPLE_RAW,
        BranchStack = "BRANCH_STACK" PERF_SAMPLE_BRANCH_STACK,
        RegsUser = "REGS_USER" PERF_SAMPLE_REGS_USER,
        StackUser = "STACK_USER" PERF_SAMPLE_STACK_USER,
        Weight = "WEIGHT" PERF_SAMPLE_WEIGHT,
        DataSrc = "DATA_SRC" PERF_SAMPLE_DATA_SRC,
        Identifier = "IDENTIFIER" PERF_SAMPLE_IDENTIFIER,
        Transaction = "TRANSACTION" PERF_SAMPLE_TRANSACTION,
        RegsIntr = "REGS_INTR" PERF_SAMPLE_REGS_INTR,
        PhysAddr = "PHYS_ADDR" PERF_SAMPLE_PHYS_ADDR,
        Aux = "AUX" PERF_SAMPLE_AUX,
        Cgroup = "CGROUP" PERF_SAMPLE_CGROUP,
        DataPageSize = "DATA_PAGE_SIZE" PERF_SAMPLE_DATA_PAGE_SIZE,
        CodePageSize = "CODE_PAGE_SIZE" PERF_SAMPLE_CODE_PAGE_SIZE,
        WeightStruct = "WEIGHT_STRUCT" PERF_SAMPLE_WEIGHT_STRUCT,
        /// A bit that no kernel defines: bit 62.
        Unknown = "UNKNOWN",
    }
}

named! {
    /// A bit of `read_format`, by its name without `PERF_FORMAT_`.
    ReadFormat is "read format" {
        TotalTimeEnabled = "TOTAL_TIME_ENABLED" PERF_FORMAT_TOTAL_TIME_ENABLED,
        TotalTimeRunning = "TOTAL_TIME_RUNNING" PERF_FORMAT_TOTAL_TIME_RUNNING,
        Id = "ID" PERF_FORMAT_ID,
        Group = "GROUP" PERF_FORMAT_GROUP,
        Lost = "LOST" PERF_FORMAT_LOST,
        /// A bit that no kernel defines: bit 62.
        Unknown = "UNKNOWN",
    }
}

named! {
    /// A bit of `branch_sample_type`, by its name without `PERF_SAMPLE_BRANCH_`.
    BranchSampleType is "branch sample type" {
        User = "USER" PERF_SAMPLE_BRANCH_USER,
        Kernel = "KERNEL" PERF_SAMPLE_BRANCH_KERNEL,
        Hv = "HV" PERF_SAMPLE_BRANCH_HV,
        Any = "ANY" PERF_SAMPLE_BRANCH_ANY,
        AnyCall = "ANY_CALL" PERF_SAMPLE_BRANCH_ANY_CALL,
        AnyReturn = "ANY_RETURN" PERF_SAMPLE_BRANCH_ANY_RETURN,
        IndCall = "IND_CALL" PERF_SAMPLE_BRANCH_IND_CALL,
        AbortTx = "ABORT_TX" PERF_SAMPLE_BRANCH_ABORT_TX,
        InTx = "IN_TX" PERF_SAMPLE_BRANCH_IN_TX,
        NoTx = "NO_TX" PERF_SAMPLE_BRANCH_NO_TX,
        Cond = "COND" PERF_SAMPLE_BRANCH_COND,
        CallStack = "CALL_STACK" PERF_SAMPLE_BRANCH_CALL_STACK,
        IndJump = "IND_JUMP" PERF_SAMPLE_BRANCH_IND_JUMP,
        Call = "CALL" PERF_SAMPLE_BRANCH_CALL,
        NoFlags = "NO_FLAGS" PERF_SAMPLE_BRANCH_NO_FLAGS,
        NoCycles = "NO_CYCLES" PERF_SAMPLE_BRANCH_NO_CYCLES,
        TypeSave = "TYPE_SAVE" PERF_SAMPLE_BRANCH_TYPE_SAVE,
        HwIndex = "HW_INDEX" PERF_SAMPLE_BRANCH_HW_INDEX,
        PrivSave = "PRIV_SAVE" PERF_SAMPLE_BRANCH_PRIV_SAVE,
        Counters = "COUNTERS" PERF_SAMPLE_BRANCH_COUNTERS,
        /// A bit that no kernel defines: bit 62.
        Unknown = "UNKNOWN",
    }
}

named! {
    /// A bit of `bp_type`, by its name without `HW_BREAKPOINT_`.
    Access is "kind of access" {
        R = "R" HW_BREAKPOINT_R,
        W = "W" HW_BREAKPOINT_W,
        X = "X" HW_BREAKPOINT_X,
    }
}
