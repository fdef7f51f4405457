(* Exact recovery at m >= 2 hangs on the scales of the samples: the law has full support, m is any.

   At a minimiser the pulls t_jn of the samples on an atom sum to 0 (Pull.v). If all pulls of one
   sample vanish, it lies on one atom (a_sample_off_the_atoms_pulls): its last active slot gives
   x = D z and the one before it (w_a - w_b) z_b d_b = 0. Codes that suit x suit alpha x when scaled
   alike, and then pulls scale with alpha^2. So for codes Y, a sample off the atoms, and the other
   samples' scales held fixed, at most one scale of it leaves (D, Y) a minimiser
   (one_scale_at_most). Best codes at D are finitely many, one a support; so the scales at which D
   is in a minimiser form a set of measure zero. That last step, Fubini's theorem, is not
   formalised. *)
From Coq Require Import Reals Lra Lia List.
From OSAE Require Import Sums Losses Rays IdentitySparse Instances Pull.
Open Scope R_scope.

Lemma survival_positive K p j : full_support K p -> (j < K)%nat -> 0 < survival K p j.
Proof.
  intros [P _] Hj. apply Rlt_le_trans with (p j); auto. unfold survival.
  pose proof (sum_term_le K j (fun k => if (j <=? k)%nat then p k else 0) Hj) as T.
  cbv beta in T. rewrite Nat.leb_refl in T. apply T. intros k Hk. destruct (j <=? k)%nat;
    [apply Rlt_le; auto|lra].
Qed.

Lemma survival_step K p a b : full_support K p -> (a < b < K)%nat ->
  survival K p b < survival K p a.
Proof.
  intros [P S] H. assert (Pa : 0 < p a) by (apply P; lia).
  apply Rlt_le_trans with (survival K p b + p a); [lra|]. unfold survival.
  replace (p a) with (sum K (fun k => if (k =? a)%nat then p a else 0)).
  - rewrite <- sum_plus. apply sum_le; intros k Hk.
    destruct (Nat.leb_spec b k), (Nat.leb_spec a k), (Nat.eqb_spec k a); subst; try lia; try lra.
    pose proof (P k Hk). lra.
  - rewrite (sum_single K a), Nat.eqb_refl; auto; [lia|].
    intros k _ N. now apply Nat.eqb_neq in N as ->.
Qed.

(* A prefix that reaches the last active atom has the whole residual. *)
Lemma residual_late K D x z b k i : (b <= k < K)%nat -> (forall j, (b < j < K)%nat -> z j = 0) ->
  residual D (S k) x z i = residual D K x z i.
Proof.
  intros H Z. unfold residual. f_equal. rewrite (sum_prefix K (S k)) by lia.
  apply sum_ext; intros j Hj. destruct (Nat.ltb_spec j (S k)); auto. rewrite Z by lia. ring.
Qed.

Theorem a_sample_off_the_atoms_pulls d K p D x z :
  full_support K p -> unit_norm d K D ->
  (forall j i, (j < K)%nat -> (i < d)%nat -> pull K p D x z j i = 0) ->
  (forall j, (j < K)%nat -> z j = 0) \/
  exists b, (b < K)%nat /\ forall i, (i < d)%nat -> x i = z b * D i b.
Proof.
  intros P U H. destruct (last_active K z) as [Z|[b [Hb [Zb Lb]]]]; auto. right. exists b.
  split; auto.
  (* The last active slot: x = D z. *)
  assert (R : forall i, (i < d)%nat -> residual D K x z i = 0).
  { intros i Hi. pose proof (H b i Hb Hi) as Pb. unfold pull in Pb.
    apply Rmult_integral in Pb as [Pb|Pb]; [contradiction|]. unfold late_residual in Pb.
    rewrite (sum_ext K _ (fun k => (if (b <=? k)%nat then p k else 0) * residual D K x z i)) in Pb.
    - rewrite sum_scal_r in Pb. pose proof (survival_positive K p b P Hb) as W.
      unfold survival in W. apply Rmult_integral in Pb as [Pb|Pb]; auto. lra.
    - intros k Hk. destruct (Nat.leb_spec b k); [|ring]. f_equal.
        now apply (residual_late K D x z b). }
  destruct (last_active b z) as [Z|[a [Ha [Za La]]]].
  - intros i Hi. pose proof (R i Hi) as Ri. unfold residual in Ri.
    rewrite (sum_single K b) in Ri; [lra|auto|]. intros j Hj N.
    destruct (lt_dec j b); [rewrite Z by lia|rewrite Lb by lia]; ring.
  - (* The one before it: (w_a - w_b) z_b d_b = 0, which is impossible. *)
    exfalso.
    assert (Zero : forall i, (i < d)%nat -> D i b = 0).
    { intros i Hi. pose proof (H a i ltac:(lia) Hi) as Pa. unfold pull in Pa.
      apply Rmult_integral in Pa as [Pa|Pa]; [contradiction|]. unfold late_residual in Pa.
      rewrite (sum_ext K _ (fun k => ((if (a <=? k)%nat then p k else 0)
        - (if (b <=? k)%nat then p k else 0)) * (z b * D i b))) in Pa.
      - rewrite sum_scal_r, sum_minus in Pa. fold (survival K p a) in Pa. fold (survival K p b)
          in Pa.
        pose proof (survival_step K p a b P ltac:(lia)) as W.
        apply Rmult_integral in Pa as [Pa|Pa]; [lra|].
        apply Rmult_integral in Pa as [Pa|Pa]; [contradiction|exact Pa].
      - intros k Hk. destruct (Nat.leb_spec b k) as [B|B].
        + rewrite (residual_late K D x z b), R by auto. destruct (Nat.leb_spec a k); [ring|lia].
        + destruct (Nat.leb_spec a k) as [A|A]; [|ring].
          replace (residual D (S k) x z i) with (residual D K x z i + z b * D i b);
            [rewrite R by auto; ring|].
          unfold residual. rewrite (sum_prefix K (S k)) by lia.
          rewrite (sum_ext K (fun j => D i j * z j) (fun j =>
            (if (j <? S k)%nat then D i j * z j else 0)
              + (if (j =? b)%nat then D i b * z b else 0))).
          * rewrite sum_plus, (sum_single K b (fun j => if (j =? b)%nat then _ else 0)),
              Nat.eqb_refl; auto; [ring|]. intros j _ N. now apply Nat.eqb_neq in N as ->.
          * intros j Hj. destruct (Nat.ltb_spec j (S k)), (Nat.eqb_spec j b); subst; try lia;
              try ring.
            destruct (lt_dec j b); [rewrite La by lia|rewrite Lb by lia]; ring. }
    pose proof (U b Hb) as N. unfold norm2, dot in N. rewrite sum_zero in N; [lra|].
    intros i Hi. unfold col. rewrite Zero; auto. ring.
Qed.

(* Samples and codes scaled alike. *)
Definition scaled (A : mat) (alpha : vec) : mat := fun i n => alpha n * A i n.

Lemma scaled_pull K p D X Y alpha n j i :
  pull K p D (col (scaled X alpha) n) (col (scaled Y alpha) n) j i
  = alpha n * alpha n * pull K p D (col X n) (col Y n) j i.
Proof.
  unfold pull, late_residual, col, scaled.
  replace (sum K (fun k => (if (j <=? k)%nat then p k else 0) *
      residual D (S k) (fun i => alpha n * X i n) (fun i => alpha n * Y i n) i))
    with (alpha n * sum K (fun k => (if (j <=? k)%nat then p k else 0) *
      residual D (S k) (fun i => X i n) (fun i => Y i n) i)); [ring|].
  rewrite <- sum_scal. apply sum_ext; intros k _. unfold residual.
  replace (sum (S k) (fun h => D i h * (alpha n * Y h n)))
    with (alpha n * sum (S k) (fun h => D i h * Y h n))
    by (rewrite <- sum_scal; apply sum_ext; intros; ring). ring.
Qed.

Theorem one_scale_at_most d K N m p X D Y alpha beta n :
  full_support K p -> (n < N)%nat ->
  (exists j, (j < K)%nat /\ Y j n <> 0) ->
  (forall b, (b < K)%nat -> exists i, (i < d)%nat /\ X i n <> Y b n * D i b) ->
  0 <= alpha n -> 0 <= beta n -> (forall l, (l < N)%nat -> l <> n -> alpha l = beta l) ->
  minimises_over_codes d K N m p (scaled X alpha) D (scaled Y alpha) ->
  minimises_over_codes d K N m p (scaled X beta) D (scaled Y beta) ->
  alpha n = beta n.
Proof.
  intros P Hn [j0 [Hj0 Nz]] Off A B Same MA MB.
  destruct (Req_EM_T (alpha n) (beta n)) as [|Ne]; auto. exfalso.
  destruct (a_sample_off_the_atoms_pulls d K p D (col X n) (col Y n) P (proj1 MA))
    as [Z|[b [Hb H]]].
  - intros j i Hj Hi.
    pose proof (the_pull_is_balanced d K N m p _ D _ j i MA Hj Hi) as SA.
    pose proof (the_pull_is_balanced d K N m p _ D _ j i MB Hj Hi) as SB.
    assert (Diff : (alpha n * alpha n - beta n * beta n) * pull K p D (col X n) (col Y n) j i = 0).
    { rewrite <- (sum_single N n (fun l => (alpha l * alpha l - beta l * beta l)
        * pull K p D (col X l) (col Y l) j i)); auto.
      - rewrite (sum_ext N _ (fun l =>
          pull K p D (col (scaled X alpha) l) (col (scaled Y alpha) l) j i
          - pull K p D (col (scaled X beta) l) (col (scaled Y beta) l) j i))
          by (intros; rewrite !scaled_pull; ring).
        rewrite sum_minus, SA, SB. ring.
      - intros l Hl E. rewrite Same by auto. ring. }
    apply Rmult_integral in Diff as [Diff|]; auto. nra.
  - elim Nz. now apply Z.
  - destruct (Off b Hb) as [i [Hi N']]. elim N'. apply (H i Hi).
Qed.
