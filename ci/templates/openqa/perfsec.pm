# An openQA test: perfsec on a kernel, in QEMU on the system under test. It goes to the folder
# tests/ of a distribution's tests, and gate.sh to their folder data/.
#
#     PERFSEC_ARCHIVE    the URL of a release
#     PERFSEC_KERNEL     the kernel [that of the system under test]
#     PERFSEC_CELLS      the cells to run: globs, separated by blanks [all]
use Mojo::Base 'basetest', -signatures;
use testapi;

sub run ($self) {
    my $archive = get_required_var('PERFSEC_ARCHIVE');
    my $kernel = get_var('PERFSEC_KERNEL', '"$(ls /lib/modules/$(uname -r)/vmlinuz /boot/vmlinuz-$(uname -r) | head -n 1)"');
    my $cells = get_var('PERFSEC_CELLS', '');

    select_console('root-console');
    assert_script_run("curl -fsSL '$archive' | tar -xz -C /usr/local/bin --strip-components 1 --wildcards --no-wildcards-match-slash 'perfsec-*/perfsec'", timeout => 300);
    assert_script_run('curl -fsSL ' . data_url('gate.sh') . ' -o gate.sh');
    my $code = script_run("CELLS='$cells' sh gate.sh $kernel", timeout => 3600);
    # A failure in a cell fails the result of the kernel's lane.
    parse_extra_log('XUnit', 'perfsec-results/junit.xml');
    upload_logs("perfsec-results/$_") for qw(run.jsonl report.html report.txt);
    die "perfsec run ended with $code" if $code;
}

1;
